//! The controller's front: stamps its identity on each response, and lets something else answer while it is meant to.

use std::pin::Pin;
use std::task::{Context, Poll};

use sweep_controller::engine::Engine;
use sweep_controller::service;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;

use crate::world::World;

/// Goes around the services.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) world: World,
    pub(crate) engine: Engine,
}

impl tower::Layer<Routes> for Front {
    type Service = Guarded;

    fn layer(&self, routes: Routes) -> Guarded {
        Guarded {
            front: self.clone(),
            routes,
        }
    }
}

/// The services behind the front.
#[derive(Clone)]
pub(crate) struct Guarded {
    front: Front,
    routes: Routes,
}

impl tower::Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = <Routes as tower::Service<Request<Body>>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        tower::Service::<Request<Body>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let front = self.front.clone();
        let interference = front.world.record().interference;
        let answer = interference.is_none().then(|| self.routes.call(request));
        Box::pin(async move {
            let identity = front.engine.identity().borrow().clone();
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
