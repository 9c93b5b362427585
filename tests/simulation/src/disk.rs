//! A disk that keeps what was written, and fails now and then.

use sweep_controller::store::{
    Batch, Block, ImageHead, NewImage, StaleRows, Store, StoreError, Stored, StoredReply,
};
use sweep_lifecycle::event::Recorded;

use crate::world::{Fault, World};

/// The disk that the controller's engine writes to.
pub(crate) struct Disk {
    pub(crate) store: Box<dyn Store>,
    pub(crate) world: World,
}

impl Store for Disk {
    fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let fault = self.world.record().disk.pop();
        match fault {
            Some(Fault::Full) => return Err(StoreError::Full),
            Some(Fault::Failed { written: false }) => {
                return Err(StoreError::Failed("simulated".to_owned()));
            }
            Some(Fault::Failed { written: true }) | None => {}
        }
        self.store.append(batch)?;
        self.world.committed(&batch.events);
        if fault.is_some() {
            Err(StoreError::Failed("simulated".to_owned()))
        } else {
            Ok(())
        }
    }

    fn replay(&mut self, after: u64, each: &mut dyn FnMut(Recorded)) -> Result<(), StoreError> {
        self.store.replay(after, each)
    }

    fn keep_image(&mut self, image: NewImage<'_>) -> Stored<()> {
        self.store.keep_image(image)
    }

    fn image_head(&mut self) -> Result<Option<ImageHead>, StoreError> {
        self.store.image_head()
    }

    fn image_blocks(&mut self, each: &mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError> {
        self.store.image_blocks(each)
    }

    fn stale_rows(&mut self) -> Result<Vec<StaleRows>, StoreError> {
        self.store.stale_rows()
    }

    fn is_purging(&mut self) -> Result<bool, StoreError> {
        self.store.is_purging()
    }

    fn purge(&mut self, rows: usize) -> Result<bool, StoreError> {
        self.store.purge(rows)
    }

    fn reply(&mut self, request_id: &str) -> Result<Option<StoredReply>, StoreError> {
        self.store.reply(request_id)
    }
}
