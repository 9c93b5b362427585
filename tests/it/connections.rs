//! Connections that show no token keep nobody out, and end after ten seconds.

use std::process::Command;

use crate::harness::{Bench, CommandResult, requires};

/// Opens idle connections, in HTTP/2 and in HTTP/1, and says how many the controller has kept, and whether it ends them.
const FLOOD: &str = r#"
import select, socket, sys, time
source, target, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
HTTP1 = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
connections = []
for number in range(count):
    connection = socket.socket()
    connection.bind((source, 0))
    connection.connect((target, 7433))
    connection.setblocking(False)
    connections.append((connection, number % 2))
    try:
        connection.send(HTTP1 if number % 2 else HTTP2)
    except OSError:
        pass
    if number % 50 == 0:
        time.sleep(0.02)

def living():
    kept = []
    for connection, is_http1 in connections:
        try:
            # What talks all the time is no better than what says nothing.
            connection.send(HTTP1 if is_http1 else b"\0\0\x08\x06\0\0\0\0\0" + bytes(8))
            while connection.recv(65536):
                pass
        except BlockingIOError:
            kept.append((connection, is_http1))
        except OSError:
            pass
    return kept

time.sleep(1)
connections = living()
print("kept", len(connections), flush=True)
began = time.time()
while connections and time.time() - began < 60:
    time.sleep(0.5)
    connections = living()
print("left", len(connections), "after", round(time.time() - began), "s", flush=True)
"#;

/// Runs a shell script in a separate network with two more addresses, where a controller beyond loopback has 768 places. `None`: this machine allows none.
fn in_own_network(bench: &Bench, script: &str) -> Option<CommandResult> {
    let prelude = "ip link set lo up; ip addr add 10.99.0.1/32 dev lo; ip addr add 10.99.0.2/32 dev lo
        trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
        controller() (ulimit -n 1024; exec \"$SWEEP\" controller --listen 0.0.0.0:7433 --data-dir controller)
        ready() { until test -s controller/token && (exec 3<>/dev/tcp/127.0.0.1/7433) 2>/dev/null; do sleep 0.05; done; }";
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--net", "bash", "-ec"])
            .arg(format!("{prelude}\n{script}"));
        command
    };
    let works = isolated("python3 -c 'import socket'")
        .output()
        .is_ok_and(|output| output.status.success());
    if !requires(
        "netns",
        works,
        "no separate network is possible here (unshare --net, ip, bash, python3)",
    ) {
        return None;
    }
    bench.write("flood.py", FLOOD);
    Some(bench.finish_unconnected(isolated(script)))
}

#[test]
fn idle_connections_of_one_peer_keep_nobody_out_and_end() {
    let bench = Bench::new();
    let script = "controller 2>controller.log & ready
        export SWEEP_TOKEN=$(cat controller/token)
        python3 flood.py 10.99.0.1 10.99.0.1 768 >flood.log & flood=$!
        until grep -q kept flood.log; do sleep 0.1; done
        \"$SWEEP\" ls --json --controller http://10.99.0.2:7433 && echo another peer is served
        \"$SWEEP\" ls --json --controller http://127.0.0.1:7433 && echo this machine is served
        wait $flood; cat flood.log; cat controller.log >&2";
    let Some(ended) = in_own_network(&bench, script) else {
        return;
    };
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("another peer is served")
            && ended.stdout.contains("this machine is served"),
        "{ended:?}"
    );
    let number = |word: &str| {
        ended.stdout.lines().find_map(|line| {
            line.strip_prefix(word)?
                .split(' ')
                .next()?
                .parse::<u32>()
                .ok()
        })
    };
    let kept = number("kept ").expect("it says so");
    assert!(
        (1..=16).contains(&kept),
        "of one peer, {kept} of 768 connections were kept: {ended:?}"
    );
    assert_eq!(number("left "), Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("connections too many are closed"),
        "{ended:?}"
    );
}

#[test]
fn a_peer_that_has_authenticated_has_a_place_among_idle_connections() {
    let bench = Bench::new();
    // Six peers, as many as it takes to have all places of unknown ones.
    let script = "controller 2>controller.log & ready
        export SWEEP_TOKEN=$(cat controller/token)
        \"$SWEEP\" ls --json --controller http://10.99.0.2:7433
        for peer in 3 4 5 6 7 8 9; do ip addr add 10.99.0.$peer/32 dev lo; python3 flood.py 10.99.0.$peer 10.99.0.$peer 100 >flood-$peer.log & done
        for peer in 3 4 5 6 7 8 9; do until grep -q kept flood-$peer.log; do sleep 0.1; done; done
        python3 -c 'import http.client
caller = http.client.HTTPConnection(\"10.99.0.1\", 7433, timeout=3, source_address=(\"10.99.0.1\", 0))
caller.request(\"GET\", \"/healthz\"); caller.getresponse()' 2>/dev/null || echo unknown peers wait
        \"$SWEEP\" ls --json --controller http://10.99.0.2:7433 && echo the known peer is served
        \"$SWEEP\" ls --json --controller http://127.0.0.1:7433 && echo this machine is served
        cat flood-*.log";
    let Some(ended) = in_own_network(&bench, script) else {
        return;
    };
    assert_eq!(ended.code, 0, "{ended:?}");
    for word in [
        "unknown peers wait",
        "the known peer is served",
        "this machine is served",
    ] {
        assert!(ended.stdout.contains(word), "{word}: {ended:?}");
    }
}

#[test]
fn a_connection_that_has_shown_the_token_may_wait() {
    let bench = Bench::new();
    let script = r#"controller 2>controller.log & ready
        cat >wait.py <<'END'
import http.client, sys, time
connection = http.client.HTTPConnection("10.99.0.1", 7433)
headers = {"Authorization": "Bearer " + open("controller/token").read().strip()}
for pause in (0, 13):
    time.sleep(pause)
    connection.request("GET", "/metrics", headers=headers)
    answer = connection.getresponse()
    answer.read()
    local = connection.sock.getsockname()
    print(answer.status, local[1], flush=True)
END
        python3 wait.py"#;
    let Some(ended) = in_own_network(&bench, script) else {
        return;
    };
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0] == lines[1] && lines[0].starts_with("200 "),
        "the same connection, twice: {ended:?}"
    );
}
