//! Files from before the attempt that it replaces or appends to.

use super::*;

#[test]
fn a_file_that_each_attempt_replaces_is_read_whatever_its_length() {
    let events = |value: f32| [scalar("loss", 0, value), scalar("loss", 1, value)].concat();
    let table = |value: f32| format!("epoch,acc\n0,{value}\n").into_bytes();
    let write = |world: &World, value: f32| {
        world.write("runs/same/events.out.tfevents.1.box", &events(value));
        world.write("plain.csv", &table(value));
        world.write("curves.jsonl", format!("{{\"f1\": {value}}}\n").as_bytes());
    };
    let expected = |value: f64| {
        let mut expected = points(&[("acc", 0, value), ("loss", 0, value), ("loss", 1, value)]);
        expected.push(("f1".to_owned(), None, value));
        expected
    };
    let all = |files: &mut Files, last: bool| {
        let (mut found, complaints) = read(files, last);
        found.sort_by(|a, b| (a.1.is_none(), &a.0, a.1).cmp(&(b.1.is_none(), &b.0, b.1)));
        assert_eq!(complaints, [""; 0]);
        found
    };
    let world = World::new("loss");
    write(&world, 0.5);
    let mut files = world.open(false);
    write(&world, 0.25);
    assert_eq!(all(&mut files, true), expected(0.25), "other values");
    drop(files);
    let mut files = world.open(false);
    std::thread::sleep(Duration::from_millis(20));
    write(&world, 0.25);
    assert_eq!(all(&mut files, false), [], "they may be continued yet");
    assert_eq!(all(&mut files, true), expected(0.25), "the same values");
    drop(files);
    let mut files = world.open(false);
    assert_eq!(all(&mut files, true), [], "nothing is written");
}

#[test]
fn a_file_that_is_written_without_a_change_and_then_appended_to_gives_what_is_new() {
    let world = World::new("f1");
    world.write("curves.jsonl", b"{\"f1\": 0.5}\n");
    let mut files = world.open(false);
    std::thread::sleep(Duration::from_millis(20));
    world.write("curves.jsonl", b"{\"f1\": 0.5}\n");
    assert_eq!(read(&mut files, false).0, []);
    world.write("curves.jsonl", b"{\"f1\": 0.5}\n{\"f1\": 0.7}\n");
    files.discovery.hurry();
    assert_eq!(read(&mut files, false).0, [("f1".to_owned(), None, 0.7)]);
}
