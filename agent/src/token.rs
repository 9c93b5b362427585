//! Where the agent finds its token.

use std::sync::Arc;

/// Returns the token to show to the controller. It is asked at the start, and again when the
/// controller refuses the token: the file may hold another one.
#[derive(Clone, Default)]
pub struct TokenSource(Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>);

impl TokenSource {
    /// A source that asks a function, which may read files.
    pub fn new(find: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    pub(crate) fn find(&self) -> Option<String> {
        self.0.as_ref().and_then(|find| find())
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSource")
    }
}
