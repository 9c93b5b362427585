//! A picture in pixels.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};
use thiserror::Error;

/// Pixels for each unit of the drawing: sharp in print at column width.
const PIXELS: f32 = 2.0;

/// The signature of the format and its first chunk, the header.
const HEAD_BYTES: usize = 8 + 25;

/// Why there is no picture in pixels.
#[derive(Debug, Error)]
pub(crate) enum PngError {
    /// Text cannot be drawn.
    #[error("there are no fonts on this machine, so a PNG would have no text")]
    NoFonts,
    /// The drawing or the encoder failed.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

/// Draws an SVG document as PNG, with the fonts of this machine.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let drawing = |error: &dyn std::fmt::Display| PngError::Drawing(error.to_string());
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    fonts.set_sans_serif_family(plain_family(&fonts).ok_or(PngError::NoFonts)?);
    // Nothing outside of the document is read: it names no files.
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| drawing(&error))?;
    let size = tree.size();
    let mut pixels = Pixmap::new(
        (size.width() * PIXELS).ceil() as u32,
        (size.height() * PIXELS).ceil() as u32,
    )
    .ok_or_else(|| drawing(&"it has no size"))?;
    resvg::render(
        &tree,
        Transform::from_scale(PIXELS, PIXELS),
        &mut pixels.as_mut(),
    );
    let encoded = pixels.encode_png().map_err(|error| drawing(&error))?;
    Ok(signed(&encoded))
}

/// Adds the name of the program to a picture. This mark keeps it out of the code version of its folder.
fn signed(png: &[u8]) -> Vec<u8> {
    let chunk = b"tEXtSoftware\0sweep";
    let length = u32::try_from(chunk.len() - 4).unwrap_or_default();
    let (head, rest) = png.split_at(HEAD_BYTES.min(png.len()));
    [
        head,
        &length.to_be_bytes(),
        chunk,
        &crc32fast::hash(chunk).to_be_bytes(),
        rest,
    ]
    .concat()
}

/// The family that is drawn where none of those is there that the pictures name.
fn plain_family(fonts: &fontdb::Database) -> Option<String> {
    let families = || {
        fonts
            .faces()
            .filter_map(|face| face.families.first())
            .map(|(family, _)| family)
    };
    let plain = families().find(|family| family.contains("Sans") && !family.contains("Mono"));
    plain.or_else(|| families().next()).cloned()
}
