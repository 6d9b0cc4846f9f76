//! `segmentation`: the share of the picture that each class covers.

use std::sync::Arc;

use super::{Found, Task};
use crate::data::{ClassShare, Finding, Placement};
use crate::model::{Mask, Segmentation};

pub(super) struct Shares {
    settings: Segmentation,
    mask: Mask,
    labels: Vec<Arc<str>>,
    /// Where the picture lies in the mask: from column and row, to column and row.
    within: [usize; 4],
    counts: Vec<u32>,
}

impl Shares {
    /// `labels` by index, one for each class that there can be.
    pub(super) fn new(settings: &Segmentation, mask: Mask, labels: Vec<Arc<str>>) -> Self {
        let within = [0, 0, mask.width, mask.height];
        let counts = vec![0; labels.len()];
        Self { settings: settings.clone(), mask, labels, within, counts }
    }
}

impl Task for Shares {
    fn placed(&mut self, place: &Placement) {
        // The fill of a letterbox is no part of the picture.
        let scaled = |at: usize, of: usize, to: usize| (at * to + of / 2) / of;
        let (filled, mask) = (place.filled, self.mask);
        self.within = [
            scaled(filled.left, place.input[0], mask.width),
            scaled(filled.top, place.input[1], mask.height),
            scaled(filled.left + filled.width, place.input[0], mask.width),
            scaled(filled.top + filled.height, place.input[1], mask.height),
        ];
    }

    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let (output, Mask { width, height, classes }) = (outputs[0], self.mask);
        let [left, top, right, bottom] = self.within;
        self.counts.fill(0);
        for pixel in (top..bottom).flat_map(|y| (left..right).map(move |x| y * width + x)) {
            let class = match classes {
                None => output[pixel].max(0.0) as usize,
                Some(classes) => {
                    let score = |class: usize| match self.settings.planar {
                        true => output[class * width * height + pixel],
                        false => output[pixel * classes + class],
                    };
                    // Ties go to the lower class, as NumPy's argmax does.
                    (1..classes).fold(0, |best, c| if score(c) > score(best) { c } else { best })
                }
            };
            if let Some(count) = self.counts.get_mut(class) {
                *count += 1;
            }
        }
        let pixels = ((right - left) * (bottom - top)).max(1) as f32;
        let share = |(label, &count): (&Arc<str>, &u32)| {
            let share = count as f32 / pixels;
            (count > 0 && share >= self.settings.least)
                .then(|| ClassShare { label: label.clone(), share })
        };
        let mut shares: Vec<_> = self.labels.iter().zip(&self.counts).filter_map(share).collect();
        shares.sort_by(|a, b| b.share.total_cmp(&a.share));
        (Finding::Segmentation { shares }, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Area;

    fn shares(found: Found) -> Vec<(String, f32)> {
        let Finding::Segmentation { shares } = found.0 else { panic!("shares") };
        shares.into_iter().map(|class| (class.label.to_string(), class.share)).collect()
    }

    #[test]
    fn classes_are_counted_by_score_or_as_they_are_and_without_the_fill() {
        let labels: Vec<Arc<str>> = ["sky", "road"].map(Arc::from).into();
        let settings = Segmentation { planar: false, least: 0.01 };
        // Four rows of two pixels: sky above, road in the fill and in one pixel.
        let mask = settings.mask(&[1, 4, 2]).unwrap();
        let mut whole = Shares::new(&settings, mask, labels.clone());
        let classes = [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        assert_eq!(
            shares(whole.read(&[], &[&classes])),
            [("road".into(), 0.625), ("sky".into(), 0.375)]
        );
        let cut = Area { left: 0, top: 0, width: 200, height: 100 };
        let filled = Area { left: 0, top: 2, width: 8, height: 4 };
        whole.placed(&Placement { picture: [200, 100], cut, input: [8, 8], filled });
        assert_eq!(
            shares(whole.read(&[], &[&classes])),
            [("sky".into(), 0.75), ("road".into(), 0.25)]
        );
        let planar = Segmentation { planar: true, least: 0.5 };
        let mask = planar.mask(&[1, 2, 1, 2]).unwrap();
        let mut scores = Shares::new(&planar, mask, labels);
        assert_eq!(
            shares(scores.read(&[], &[&[0.1, 0.2, 0.3, 0.2]])),
            [("sky".into(), 0.5), ("road".into(), 0.5)]
        );
    }
}
