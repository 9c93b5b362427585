//! The GPUs of this machine as their driver sees them: which there are, and whether they are free
//! again once an attempt has ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

/// A GPU with this much more memory in use than before an attempt is not free; less may belong to
/// the driver or a desktop.
const LEFT_BYTES_MAX: u64 = 512 << 20;

/// How much of a GPU is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuUse {
    /// Bytes of its memory, of all processes.
    pub bytes: u64,
    /// Programs that compute on it.
    pub programs: u32,
}

/// A source of facts about GPUs.
pub trait GpuDriver: fmt::Debug + Send + Sync {
    /// Returns how many there are; they are numbered from 0.
    fn count(&self) -> u32;

    /// Returns how much of one, by its number or its UUID, is in use; `None`: it cannot say.
    fn in_use(&self, name: &str) -> Option<GpuUse>;

    /// Returns facts about the GPUs and the driver, by name: `gpu.0`, `gpu_driver`, `cuda`.
    fn facts(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Returns how busy one is, in percent of the time; `None`: it cannot say.
    fn busy(&self, name: &str) -> Option<u32> {
        let _ = name;
        None
    }
}

/// NVIDIA's, if it is installed.
#[derive(Default)]
pub struct Nvidia {
    nvml: OnceLock<Option<Nvml>>,
}

impl fmt::Debug for Nvidia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nvidia")
    }
}

impl Nvidia {
    fn nvml(&self) -> Option<&Nvml> {
        let start = || {
            let started = Nvml::init();
            started.inspect_err(|error| tracing::debug!(%error, "no NVIDIA driver answers: working without GPUs")).ok()
        };
        self.nvml.get_or_init(start).as_ref()
    }
}

impl GpuDriver for Nvidia {
    fn count(&self) -> u32 {
        self.nvml()
            .and_then(|nvml| nvml.device_count().ok())
            .unwrap_or(0)
    }

    fn in_use(&self, name: &str) -> Option<GpuUse> {
        let nvml = self.nvml()?;
        let look = |device: Device<'_>| -> Result<GpuUse, NvmlError> {
            Ok(GpuUse {
                bytes: device.memory_info()?.used,
                programs: device.running_compute_processes_count()?,
            })
        };
        device(nvml, name)
            .and_then(look)
            .inspect_err(|error| tracing::debug!(%error, gpu = name, "the driver cannot say how much of it is in use"))
            .ok()
    }

    fn facts(&self) -> BTreeMap<String, String> {
        let Some(nvml) = self.nvml() else {
            return BTreeMap::new();
        };
        let words = |number| {
            let device = nvml.device_by_index(number).ok()?;
            let memory = device.memory_info().ok()?.total as f64 / f64::from(1 << 30);
            Some((
                format!("gpu.{number}"),
                format!("{}, {memory:.0} GB", device.name().ok()?),
            ))
        };
        let mut facts: BTreeMap<_, _> = (0..self.count()).filter_map(words).collect();
        facts.extend(
            nvml.sys_driver_version()
                .ok()
                .map(|version| ("gpu_driver".to_owned(), version)),
        );
        let cuda = nvml
            .sys_cuda_driver_version()
            .ok()
            .map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
        facts.extend(cuda.map(|version| ("cuda".to_owned(), version)));
        facts
    }

    fn busy(&self, name: &str) -> Option<u32> {
        device(self.nvml()?, name)
            .and_then(|device| device.utilization_rates())
            .ok()
            .map(|rates| rates.gpu)
    }
}

fn device<'a>(nvml: &'a Nvml, name: &str) -> Result<Device<'a>, NvmlError> {
    match name.parse() {
        Ok(number) => nvml.device_by_index(number),
        Err(_) => nvml.device_by_uuid(name),
    }
}

/// Returns the GPUs whose memory is in use though no program is left on them, and by how many bytes
/// more than before. Where a program computes on one, it belongs to another user, and so does the
/// memory.
pub(crate) fn left_behind(
    driver: &dyn GpuDriver,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let more = |(name, before): (&String, &u64)| {
        let now = driver.in_use(name).filter(|now| now.programs == 0)?;
        let more = now.bytes.saturating_sub(*before);
        (more > LEFT_BYTES_MAX).then(|| (name.clone(), more))
    };
    before.iter().filter_map(more).collect()
}

/// A driver for tests: for each GPU the gigabytes in use, and programs.
#[cfg(test)]
pub(crate) mod paper {
    use super::*;

    #[derive(Debug)]
    pub(crate) struct Paper(pub(crate) &'static [(u64, u32)]);

    impl GpuDriver for Paper {
        fn count(&self) -> u32 {
            self.0.len() as u32
        }

        fn in_use(&self, name: &str) -> Option<GpuUse> {
            let (gigabytes, programs) = self
                .0
                .get(name.trim_start_matches("GPU-").parse::<usize>().ok()?)?;
            Some(GpuUse {
                bytes: gigabytes << 30,
                programs: *programs,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::paper::Paper;
    use super::*;

    #[test]
    fn memory_without_a_program_was_left_behind() {
        let before = ["0", "1", "2"]
            .map(|name| (name.to_owned(), 1 << 30))
            .into();
        let after = Paper(&[(1, 0), (9, 0), (9, 1)]);
        assert_eq!(
            left_behind(&after, &before),
            BTreeMap::from([("1".to_owned(), 8 << 30)])
        );
        // A driver that no longer answers is no evidence.
        assert_eq!(left_behind(&Paper(&[]), &before), BTreeMap::new());
    }
}
