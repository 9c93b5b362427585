//! Which GPUs each attempt gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gpu::GpuDriver;

/// A place for one attempt at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// The value of `CUDA_VISIBLE_DEVICES`; `None` leaves it alone because there are no GPUs.
    pub(crate) devices: Option<String>,
    /// GPUs are numbered as the driver does, so `CUDA_DEVICE_ORDER` has to say the same.
    pub(crate) driver_order: bool,
    /// No other slot has any of its GPUs.
    #[serde(default)]
    pub(crate) exclusive: bool,
}

/// The GPUs that this agent may use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Gpus {
    /// As `CUDA_VISIBLE_DEVICES` names them: numbers or UUIDs.
    pub(crate) names: Vec<String>,
    /// The names are the driver's numbers, not the user's own choice.
    pub(crate) driver_order: bool,
}

impl Slot {
    /// Returns the bytes in use on each of its GPUs, as far as it can be said: not where other
    /// slots share them, nor where a number may not be the driver's.
    pub(crate) fn bytes_in_use(&self, driver: &dyn GpuDriver) -> BTreeMap<String, u64> {
        let known = self.gpus(driver).into_iter().filter(|_| self.exclusive);
        known
            .filter_map(|name| driver.in_use(&name).map(|in_use| (name, in_use.bytes)))
            .collect()
    }

    /// Returns its GPUs by the names that the driver has for them, as far as those can be told.
    pub(crate) fn gpus(&self, driver: &dyn GpuDriver) -> Vec<String> {
        let names = self
            .devices
            .iter()
            .flat_map(|devices| devices.split(','))
            .filter(|name| !name.is_empty());
        let numbered_alike = || self.driver_order || driver.count() == 1;
        names
            .filter(|name| name.parse::<u32>().is_err() || numbered_alike())
            .map(str::to_owned)
            .collect()
    }
}

/// Looks for GPUs. An agent that was itself given some by `CUDA_VISIBLE_DEVICES` uses those and no
/// others.
pub(crate) fn find_gpus(driver: &dyn GpuDriver) -> Gpus {
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => Gpus {
            names: parse_visible(&list),
            driver_order: false,
        },
        Err(_) => Gpus {
            names: (0..driver.count())
                .map(|number| number.to_string())
                .collect(),
            driver_order: true,
        },
    }
}

/// Divides the GPUs into slots: one for each `gpus_per_run` of them, or one where there are none.
/// More slots than groups share the groups in turn.
///
/// # Errors
/// The request does not fit the machine: the reason in words.
pub(crate) fn plan(
    gpus: &Gpus,
    slots: Option<usize>,
    gpus_per_run: Option<usize>,
) -> Result<Vec<Slot>, String> {
    if slots == Some(0) {
        return Err("--slots 0 leaves nothing to run in; give 1 or more".to_owned());
    }
    let found = gpus.names.len();
    let share = gpus_per_run.unwrap_or(usize::from(found > 0));
    if share > found {
        let found = if found == 0 {
            "no GPU is visible here".to_owned()
        } else {
            format!("only {found} are visible here")
        };
        return Err(format!(
            "--gpus-per-run {share} asks for more GPUs than there are: {found} (nvidia-smi -L lists them; CUDA_VISIBLE_DEVICES hides some)"
        ));
    }
    if share == 0 {
        // `--gpus-per-run 0` on a machine with GPUs: programs must not see them.
        let slot = Slot {
            devices: (found > 0).then(String::new),
            driver_order: false,
            exclusive: false,
        };
        return Ok(vec![slot; slots.unwrap_or(1)]);
    }
    let groups: Vec<String> = gpus
        .names
        .chunks_exact(share)
        .map(|group| group.join(","))
        .collect();
    let count = slots.unwrap_or(groups.len());
    let slot = |index: usize| Slot {
        devices: Some(groups[index % groups.len()].clone()),
        driver_order: gpus.driver_order,
        exclusive: count <= groups.len(),
    };
    Ok((0..count).map(slot).collect())
}

/// CUDA ignores everything from the first invalid entry on; `-1` and the empty text mean none.
fn parse_visible(list: &str) -> Vec<String> {
    let valid = |name: &&str| !name.is_empty() && !name.starts_with('-') && *name != "NoDevFiles";
    list.split(',')
        .map(str::trim)
        .take_while(valid)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::paper::Paper;

    fn gpus(count: usize) -> Gpus {
        Gpus {
            names: (0..count).map(|index| index.to_string()).collect(),
            driver_order: true,
        }
    }

    fn devices(count: usize, slots: Option<usize>, share: Option<usize>) -> Vec<Option<String>> {
        plan(&gpus(count), slots, share)
            .unwrap()
            .into_iter()
            .map(|slot| slot.devices)
            .collect()
    }

    fn some(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn a_slot_for_each_gpu_or_one_without() {
        assert_eq!(devices(0, None, None), [None]);
        assert_eq!(devices(0, Some(3), None), [None, None, None]);
        assert_eq!(devices(3, None, None), some(&["0", "1", "2"]));
        assert_eq!(devices(5, None, Some(2)), some(&["0,1", "2,3"]));
    }

    #[test]
    fn slots_beyond_the_gpus_share_them_in_turn() {
        assert_eq!(devices(2, Some(3), None), some(&["0", "1", "0"]));
        assert_eq!(devices(4, Some(1), Some(2)), some(&["0,1"]));
        assert_eq!(devices(2, None, Some(0)), some(&[""]));
    }

    #[test]
    fn more_gpus_than_there_are_is_refused() {
        let message = plan(&gpus(2), None, Some(4)).unwrap_err();
        assert!(
            message.contains("--gpus-per-run 4") && message.contains("only 2"),
            "{message}"
        );
        assert!(
            plan(&gpus(0), None, Some(1))
                .unwrap_err()
                .contains("no GPU is visible")
        );
        assert!(plan(&gpus(0), Some(0), None).is_err());
    }

    #[test]
    fn visible_devices_end_at_the_first_invalid_one() {
        assert_eq!(parse_visible("0, 2,GPU-ab"), ["0", "2", "GPU-ab"]);
        assert_eq!(parse_visible("1,-1,0"), ["1"]);
        assert!(
            parse_visible("").is_empty()
                && parse_visible("-1").is_empty()
                && parse_visible("NoDevFiles").is_empty()
        );
    }

    #[test]
    fn only_memory_that_is_surely_the_slots_own_is_looked_at() {
        let slot = |devices: &str, driver_order, exclusive| Slot {
            devices: Some(devices.to_owned()),
            driver_order,
            exclusive,
        };
        let two = Paper(&[(1, 0), (2, 1)]);
        let looked_at = |slot: &Slot| slot.bytes_in_use(&two).into_keys().collect::<Vec<_>>();
        assert_eq!(looked_at(&slot("0,1", true, true)), ["0", "1"]);
        assert!(looked_at(&slot("0,1", true, false)).is_empty());
        // `CUDA_VISIBLE_DEVICES=0` may be another one than the driver's number 0.
        assert_eq!(looked_at(&slot("0,GPU-1", false, true)), ["GPU-1"]);
        assert_eq!(
            slot("0", false, true).bytes_in_use(&Paper(&[(1, 0)])).len(),
            1
        );
        assert!(looked_at(&slot("", true, true)).is_empty());
        assert!(
            looked_at(&Slot {
                devices: None,
                driver_order: false,
                exclusive: true
            })
            .is_empty()
        );
    }

    #[test]
    fn slots_that_share_gpus_know_it() {
        let exclusive = |slots| {
            plan(&gpus(2), Some(slots), None)
                .unwrap()
                .iter()
                .all(|slot| slot.exclusive)
        };
        assert!(exclusive(1) && exclusive(2) && !exclusive(3));
    }
}
