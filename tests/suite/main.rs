//! Tests of whole parts, in one binary since linking is what takes long. A module is a subject.

mod contracts;
