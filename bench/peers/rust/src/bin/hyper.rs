//! hyper 1 on tokio's runtime of one thread: hyper PORT

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use peers::{port, user, Work, HELLO};
use tokio::net::TcpListener;

type Answer = Response<Full<Bytes>>;

fn answer(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn refused(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

async fn handle(work: Arc<Work>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let uri = request.uri();
    Ok(match uri.path() {
        "/" => answer("text/plain", HELLO),
        "/json" => answer("application/json", work.list()),
        "/echo" => match request.into_body().collect().await {
            Ok(body) => answer("text/plain", body.to_bytes()),
            Err(_) => refused(StatusCode::BAD_REQUEST),
        },
        "/upload" => match count(request.into_body()).await {
            Ok(bytes) => answer("text/plain", bytes.to_string()),
            Err(_) => refused(StatusCode::BAD_REQUEST),
        },
        path => match path.strip_prefix("/users/") {
            Some(id) => answer("application/json", user(id, uri.query().unwrap_or(""))),
            None => refused(StatusCode::NOT_FOUND),
        },
    })
}

async fn count(mut body: Incoming) -> Result<usize, hyper::Error> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}

fn main() -> std::io::Result<()> {
    let work = Arc::new(Work::load());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", port())).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let work = work.clone();
            let service = service_fn(move |request| handle(work.clone(), request));
            tokio::task::spawn_local(async move {
                let served = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    eprintln!("{error}");
                }
            });
        }
    })
}
