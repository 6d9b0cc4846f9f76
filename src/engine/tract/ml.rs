//! Operators of `ai.onnx.ml` (and `CDist` of `com.microsoft`) that tract lacks, or that it has slow or
//! without checks: registered from outside, as tract's registry allows. They make scikit-learn's models run.
//!
//! Results are onnxruntime's, also where it differs from the ONNX text (a sigmoid that it leaves out for a
//! single score, say): exporters are tested against it. Attributes are checked as a node is built and shapes
//! as soon as they are known, so a kernel that runs can only fail on values: an index from an input.
//!
//! Sources: the ONNX specification's `docs/Operators-ml.md`; onnxruntime's
//! `core/providers/cpu/ml` for what that leaves open.

mod attributes;
mod distance;
mod encode;
mod kernel;
mod labels;
mod linear;
mod post;
mod scale;
mod select;
mod svm;
#[cfg(test)]
mod tests;
mod tree;

use tract_onnx::Onnx;

use self::kernel::build;

/// tract's ONNX reader with these operators added; where tract has one of that name, ours is taken.
pub(super) fn onnx() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    let ops = &mut onnx.op_register;
    ops.insert("ArrayFeatureExtractor", build::<select::ArrayFeatureExtractor>);
    ops.insert("Binarizer", build::<scale::Binarizer>);
    ops.insert("CDist", build::<distance::CDist>);
    ops.insert("FeatureVectorizer", build::<select::FeatureVectorizer>);
    ops.insert("Imputer", build::<scale::Imputer>);
    ops.insert("LabelEncoder", build::<encode::LabelEncoder>);
    ops.insert("LinearClassifier", build::<linear::LinearClassifier>);
    ops.insert("LinearRegressor", build::<linear::LinearRegressor>);
    ops.insert("Normalizer", build::<scale::Normalizer>);
    ops.insert("OneHotEncoder", build::<encode::OneHotEncoder>);
    ops.insert("SVMClassifier", build::<svm::SvmClassifier>);
    ops.insert("SVMRegressor", build::<svm::SvmRegressor>);
    ops.insert("Scaler", build::<scale::Scaler>);
    ops.insert("TreeEnsembleClassifier", build::<tree::TreeClassifier>);
    ops.insert("TreeEnsembleRegressor", build::<tree::TreeRegressor>);
    ops.insert("ZipMap", build::<select::ZipMap>);
    onnx
}
