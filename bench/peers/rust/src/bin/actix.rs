//! actix-web 4 with one worker: actix PORT

use actix_files::Files;
use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use futures_util::StreamExt;
use peers::{port, setting, user, Work, HELLO};

/// More than a body that is echoed has.
const BODY_BYTES_MAX: usize = 1 << 20;

fn answer(kind: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(body.into())
}

async fn hello() -> HttpResponse {
    answer("text/plain", HELLO)
}

async fn list(work: Data<Work>) -> HttpResponse {
    answer("application/json", work.list())
}

async fn params(request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer("application/json", user(&id, request.query_string()))
}

async fn echo(body: Bytes) -> HttpResponse {
    answer("text/plain", body)
}

async fn upload(mut body: Payload) -> Result<HttpResponse, Error> {
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        bytes += piece?.len();
    }
    Ok(answer("text/plain", bytes.to_string()))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let work = Data::new(Work::load());
    let folder = setting("GYRFALCON_BENCH_WWW");
    HttpServer::new(move || {
        App::new()
            .app_data(work.clone())
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .route("/", web::get().to(hello))
            .route("/json", web::get().to(list))
            .route("/users/{id}", web::get().to(params))
            .route("/echo", web::post().to(echo))
            .route("/upload", web::post().to(upload))
            .service(Files::new("/", folder.clone()))
    })
    .workers(1)
    .backlog(2048)
    .max_connections(12_000)
    .bind(("127.0.0.1", port()))?
    .run()
    .await
}
