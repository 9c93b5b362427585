//! The controller's front: stamps its identity on each response, and lets something else answer while it is meant to.

use std::pin::Pin;
use std::task::{Context, Poll};

use sweep_controller::engine::Engine;
use sweep_controller::service;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;

use crate::world::World;

/// The services, behind what interferes with them.
#[derive(Clone)]
pub(crate) struct InterferedRoutes {
    pub(crate) world: World,
    pub(crate) engine: Engine,
    pub(crate) routes: Routes,
}

impl tower::Service<Request<Body>> for InterferedRoutes {
    type Response = Response<Body>;
    type Error = <Routes as tower::Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        tower::Service::<Request<Body>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let interference = self.world.record().interference;
        let answer = interference.is_none().then(|| self.routes.call(request));
        let identity = self.engine.identity();
        Box::pin(async move {
            let identity = identity.borrow().clone();
            let Some(answer) = answer else {
                return Ok(interference.map_or_else(
                    || Response::new(Body::empty()),
                    |some| some.answer(&identity),
                ));
            };
            let mut response = answer.await?;
            service::stamp(response.headers_mut(), &identity);
            Ok(response)
        })
    }
}
