//! GPUs, as a driver on paper sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use sweep_agent::{GpuDriver, GpuUse, Notice};

use crate::harness::{Running, harness};

/// Two GPUs. As soon as somebody has looked at the second one, somebody has left memory behind on
/// it.
#[derive(Debug, Default)]
struct Paper {
    left: AtomicU64,
    looks: AtomicU64,
}

impl GpuDriver for Paper {
    fn count(&self) -> u32 {
        2
    }

    fn in_use(&self, name: &str) -> Option<GpuUse> {
        let is_first_look = name == "1" && self.looks.fetch_add(1, Ordering::SeqCst) == 0;
        let bytes = if name == "1" && !is_first_look {
            self.left.load(Ordering::SeqCst)
        } else {
            0
        };
        Some(GpuUse { bytes, programs: 0 })
    }
}

#[tokio::test]
async fn a_gpu_with_memory_left_behind_is_set_aside_and_named_until_it_is_free() {
    if std::env::var_os("CUDA_VISIBLE_DEVICES").is_some() {
        println!(
            "SKIPPED: CUDA_VISIBLE_DEVICES is set, and an agent uses those GPUs and no others"
        );
        return;
    }
    let runs: Vec<_> = (0..6).map(|run| json!({"run": run})).collect();
    let command = [
        "sh",
        "-c",
        "echo $CUDA_VISIBLE_DEVICES >> $SWEEP_RUN_DIR/../../gpus; echo '{\"loss\": 1}'",
    ];
    let mut harness = harness(&command, &runs).await;
    let driver = Arc::new(Paper {
        left: AtomicU64::new(9 << 30),
        looks: AtomicU64::default(),
    });
    harness.options.driver = Arc::<Paper>::clone(&driver);
    (harness.options.slots, harness.options.gpus_per_run) = (None, None);
    let mut running = harness.start();
    let notes = async |running: &mut Running, words: &str| {
        loop {
            let notice = running.notices.recv().await.expect("the agent still works");
            if let Notice::Note(text) = notice
                && text.contains(words)
            {
                break text;
            }
        }
    };
    let note = notes(&mut running, "quarantined").await;
    assert!(
        note.contains("GPU 1 9.7 GB") && note.contains("none of its processes is left"),
        "{note}"
    );
    let gpus = || std::fs::read_to_string(harness.options.runs_dir.join("wine1234/gpus")).unwrap();
    assert_eq!(
        gpus().matches('1').count(),
        1,
        "the other GPU has taken all the others: {}",
        gpus()
    );
    assert_eq!(gpus().lines().count(), 6);
    driver.left.store(0, Ordering::SeqCst);
    notes(&mut running, "GPU 1: free again").await;
    assert_eq!(running.end().await.unwrap().finished, 6);
}
