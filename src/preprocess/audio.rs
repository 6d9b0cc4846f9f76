//! Sound → features: the steps of `model::recipe::audio`, computed.

mod cepstrum;
mod hopping;
mod mel;
mod micro_frontend;
mod preemphasis;
mod spectrogram;

pub(super) use cepstrum::Dct;
pub(super) use hopping::Hopping;
pub(super) use preemphasis::Preemphasis;
pub(super) use spectrogram::Centred;
