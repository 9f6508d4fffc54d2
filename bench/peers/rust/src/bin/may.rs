//! may_minihttp with one worker: may PORT

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use peers::{port, user, Work, HELLO};

const TEXT: &str = "Content-Type: text/plain";
const JSON: &str = "Content-Type: application/json";

#[derive(Clone)]
struct Service(Arc<Work>);

impl HttpService for Service {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match request.path() {
            "/" => response.header(TEXT).body(HELLO),
            "/json" => response.header(JSON).body_vec(self.0.list()),
            "/echo" => {
                let mut body = Vec::with_capacity(1024);
                request.body().read_to_end(&mut body)?;
                response.header(TEXT).body_vec(body);
            }
            "/upload" => {
                let bytes = count(request)?;
                response.header(TEXT).body_vec(bytes.to_string().into_bytes());
            }
            target => match target.strip_prefix("/users/") {
                Some(rest) => {
                    let (id, query) = rest.split_once('?').unwrap_or((rest, ""));
                    response.header(JSON).body_vec(user(id, query));
                }
                None => {
                    response.status_code(404, "Not Found");
                }
            },
        }
        Ok(())
    }
}

fn count(request: Request) -> io::Result<usize> {
    let mut body = request.body();
    let mut bytes = 0;
    loop {
        let length = body.fill_buf()?.len();
        if length == 0 {
            return Ok(bytes);
        }
        bytes += length;
        body.consume(length);
    }
}

fn main() -> io::Result<()> {
    may::config().set_workers(1);
    let server = HttpServer(Service(Arc::new(Work::load()))).start(("127.0.0.1", port()))?;
    server.join().map_err(|_| io::Error::other("the server ended"))
}
