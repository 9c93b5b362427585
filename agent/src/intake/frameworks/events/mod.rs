//! TensorBoard event files (`events.out.tfevents.*`): scalars as values (version 1) and as tensors
//! (version 2).

pub(crate) mod records;

use prost::Message;

use self::records::Records;
use super::series::Sample;
use crate::intake::record;

/// The plugin whose tensors are scalars.
const SCALARS: &str = "scalars";
/// The plugin whose summaries describe hyperparameters.
const HPARAMS: &str = "hparams";

/// Reads the records of one event file.
#[derive(Debug, Default)]
pub(crate) struct EventFile {
    records: Records,
    /// The file describes hyperparameters: its scalars may repeat those of another file.
    pub(crate) has_hparams: bool,
}

impl EventFile {
    /// Starts behind a number of bytes that were read before.
    pub(crate) fn starting_at(offset: u64) -> Self {
        Self {
            records: Records::starting_at(offset),
            has_hparams: false,
        }
    }

    /// Returns the number of bytes whose records were returned.
    pub(crate) fn position(&self) -> u64 {
        self.records.taken
    }

    /// Returns whether part of the file was damaged and left out.
    pub(crate) fn is_damaged(&self) -> bool {
        self.records.is_damaged
    }

    /// Returns whether the file ends within a record.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.records.is_incomplete()
    }

    /// Takes bytes and returns the scalars in the records that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Sample> {
        let mut samples = Vec::new();
        for content in self.records.push(bytes) {
            // A record that cannot be decoded holds no scalar.
            let Ok(event) = TensorflowEvent::decode(&content[..]) else {
                continue;
            };
            for value in event.summary.into_iter().flat_map(|summary| summary.value) {
                let plugin = value.plugin();
                self.has_hparams |= plugin == HPARAMS;
                if let Some(number) = value.scalar().filter(|_| record::is_name(&value.tag)) {
                    samples.push(Sample {
                        tag: value.tag,
                        step: Some(event.step),
                        value: number,
                    });
                }
            }
        }
        samples
    }
}

/// `tensorflow.Event`, as far as it matters.
#[derive(Clone, PartialEq, Message)]
struct TensorflowEvent {
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<SummaryMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryMessage {
    #[prost(message, repeated, tag = "1")]
    value: Vec<TensorValue>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(bytes = "vec", tag = "4")]
    content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    doubles: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    ints: Vec<i32>,
    #[prost(int64, repeated, tag = "10")]
    longs: Vec<i64>,
    /// Half-precision numbers, one in each.
    #[prost(int32, repeated, tag = "13")]
    halves: Vec<i32>,
}

impl TensorValue {
    fn plugin(&self) -> &str {
        let plugin = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.plugin_data.as_ref());
        plugin.map_or("", |plugin| &plugin.plugin_name)
    }

    /// Returns the number that the value is. Only the first value of a tag has to name its plugin:
    /// a single number without one is a scalar.
    fn scalar(&self) -> Option<f64> {
        if !matches!(self.plugin(), "" | SCALARS) {
            return None;
        }
        self.simple_value
            .map(decimal)
            .or_else(|| self.tensor.as_ref()?.number())
    }
}

impl Tensor {
    /// Returns the number of a tensor that holds exactly one.
    fn number(&self) -> Option<f64> {
        let halves = |bits: u16| match self.dtype {
            DT_BFLOAT16 => f64::from(f32::from_bits(u32::from(bits) << 16)),
            _ => half(bits),
        };
        let content = &self.content[..];
        match self.dtype {
            DT_FLOAT => content
                .try_into()
                .map(f32::from_le_bytes)
                .ok()
                .or_else(|| one(&self.floats))
                .map(decimal),
            DT_DOUBLE => content
                .try_into()
                .map(f64::from_le_bytes)
                .ok()
                .or_else(|| one(&self.doubles)),
            DT_INT32 => content
                .try_into()
                .map(i32::from_le_bytes)
                .ok()
                .or_else(|| one(&self.ints))
                .map(f64::from),
            DT_INT64 => content
                .try_into()
                .map(i64::from_le_bytes)
                .ok()
                .or_else(|| one(&self.longs))
                .map(|long| long as f64),
            DT_HALF | DT_BFLOAT16 => {
                let stored = || one(&self.halves).and_then(|bits| u16::try_from(bits).ok());
                content
                    .try_into()
                    .map(u16::from_le_bytes)
                    .ok()
                    .or_else(stored)
                    .map(halves)
            }
            _ => None,
        }
    }
}

/// Numbers that TensorFlow gives to element types.
const DT_FLOAT: i32 = 1;
const DT_DOUBLE: i32 = 2;
const DT_INT32: i32 = 3;
const DT_INT64: i32 = 9;
const DT_BFLOAT16: i32 = 14;
const DT_HALF: i32 = 19;

fn one<T: Copy>(values: &[T]) -> Option<T> {
    if let [value] = values {
        Some(*value)
    } else {
        None
    }
}

/// Returns the shortest decimal that is the same number in single precision: 0.1 instead of
/// 0.10000000149.
fn decimal(value: f32) -> f64 {
    if value.is_finite() {
        value
            .to_string()
            .parse()
            .unwrap_or_else(|_| f64::from(value))
    } else {
        f64::from(value)
    }
}

/// Returns a number in half precision: sign (1 bit), exponent (5 bits), fraction (10 bits).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (
        i32::from(bits >> 10 & 0x1f),
        f64::from(bits & 0x3ff) / 1024.0,
    );
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::records::framed;
    use super::*;

    fn event(step: i64, value: TensorValue) -> Vec<u8> {
        framed(
            &TensorflowEvent {
                step,
                summary: Some(SummaryMessage { value: vec![value] }),
            }
            .encode_to_vec(),
        )
    }

    /// Returns the record of a scalar in the first encoding.
    pub(crate) fn scalar(tag: &str, step: i64, value: f32) -> Vec<u8> {
        event(
            step,
            TensorValue {
                tag: tag.to_owned(),
                simple_value: Some(value),
                ..TensorValue::default()
            },
        )
    }

    fn plugin(name: &str) -> Option<Metadata> {
        Some(Metadata {
            plugin_data: Some(PluginData {
                plugin_name: name.to_owned(),
            }),
        })
    }

    /// Returns the record of a value that only describes hyperparameters.
    pub(crate) fn hparams() -> Vec<u8> {
        event(
            0,
            TensorValue {
                tag: "_hparams_/session_start_info".to_owned(),
                metadata: plugin(HPARAMS),
                ..TensorValue::default()
            },
        )
    }

    fn tensor(tag: &str, plugin_name: Option<&str>, tensor: Tensor) -> Vec<u8> {
        event(
            3,
            TensorValue {
                tag: tag.to_owned(),
                tensor: Some(tensor),
                metadata: plugin_name.and_then(plugin),
                ..TensorValue::default()
            },
        )
    }

    fn read(bytes: &[u8]) -> Vec<(String, f64)> {
        EventFile::default()
            .push(bytes)
            .into_iter()
            .map(|sample| (sample.tag, sample.value))
            .collect()
    }

    #[test]
    fn scalars_of_both_encodings_are_read() {
        let float = Tensor {
            dtype: DT_FLOAT,
            content: 0.1f32.to_le_bytes().to_vec(),
            ..Tensor::default()
        };
        let bytes = [
            scalar("loss", 3, 0.1),
            tensor("epoch_loss", Some(SCALARS), float.clone()),
            tensor("epoch_loss", None, float),
            tensor(
                "b",
                Some(SCALARS),
                Tensor {
                    dtype: DT_FLOAT,
                    floats: vec![2.0],
                    ..Tensor::default()
                },
            ),
            tensor(
                "c",
                Some(SCALARS),
                Tensor {
                    dtype: DT_DOUBLE,
                    doubles: vec![0.25],
                    ..Tensor::default()
                },
            ),
            tensor(
                "d",
                Some(SCALARS),
                Tensor {
                    dtype: DT_INT64,
                    longs: vec![7],
                    ..Tensor::default()
                },
            ),
            tensor(
                "e",
                Some(SCALARS),
                Tensor {
                    dtype: DT_HALF,
                    halves: vec![0x3c00],
                    ..Tensor::default()
                },
            ),
            tensor(
                "f",
                Some(SCALARS),
                Tensor {
                    dtype: DT_BFLOAT16,
                    halves: vec![0x3f80],
                    ..Tensor::default()
                },
            ),
        ]
        .concat();
        let expected = [
            ("loss", 0.1),
            ("epoch_loss", 0.1),
            ("epoch_loss", 0.1),
            ("b", 2.0),
            ("c", 0.25),
            ("d", 7.0),
            ("e", 1.0),
            ("f", 1.0),
        ];
        assert_eq!(
            read(&bytes),
            expected.map(|(tag, value)| (tag.to_owned(), value))
        );
    }

    #[test]
    fn other_plugins_and_larger_tensors_are_no_metrics() {
        let floats = |floats: Vec<f32>| Tensor {
            dtype: DT_FLOAT,
            floats,
            ..Tensor::default()
        };
        let bytes = [
            hparams(),
            tensor("weights", Some("histograms"), floats(vec![1.0])),
            tensor("weights", None, floats(vec![1.0, 2.0])),
            tensor(
                "text",
                Some("text"),
                Tensor {
                    dtype: 7,
                    ..Tensor::default()
                },
            ),
            scalar("", 0, 1.0),
            framed(b"\xff\xff"),
            scalar("nan", 0, f32::NAN),
        ]
        .concat();
        let mut file = EventFile::default();
        let samples = file.push(&bytes);
        assert!(
            samples.len() == 1 && samples[0].value.is_nan() && file.has_hparams,
            "{samples:?}"
        );
    }

    #[test]
    fn half_precision_is_read() {
        assert_eq!(
            [half(0x3c00), half(0xc000), half(0x0001), half(0x7c00)],
            [1.0, -2.0, 2f64.powi(-24), f64::INFINITY]
        );
        assert!(half(0x7e00).is_nan());
    }
}
