//! What all servers in Rust do for a request, whatever brought it.

use serde::{Deserialize, Serialize};

/// The small response.
pub const HELLO: &str = "Hello, World!";

#[derive(Deserialize, Serialize)]
struct Rating {
    score: u32,
    count: u32,
}

#[derive(Deserialize, Serialize)]
struct Item {
    id: u32,
    name: String,
    category: String,
    price: u32,
    quantity: u32,
    active: bool,
    tags: Vec<String>,
    rating: Rating,
}

/// An item by reference, and what is computed of it.
#[derive(Serialize)]
struct Line<'a> {
    id: u32,
    name: &'a str,
    category: &'a str,
    price: u32,
    quantity: u32,
    active: bool,
    tags: &'a [String],
    rating: &'a Rating,
    total: u32,
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<Line<'a>>,
    count: usize,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    page: &'a str,
    sort: &'a str,
}

/// The data set.
pub struct Work {
    items: Vec<Item>,
}

impl Work {
    /// Reads the file that GYRFALCON_BENCH_DATA names; ends the program when that is none.
    pub fn load() -> Work {
        let path = setting("GYRFALCON_BENCH_DATA");
        let text = std::fs::read(path).expect("the data set is read");
        Work {
            items: serde_json::from_slice(&text).expect("the data set is a list of items"),
        }
    }

    /// Computes the total of every item and writes all of them as JSON.
    pub fn list(&self) -> Vec<u8> {
        let items: Vec<Line> = self.items.iter().map(line).collect();
        let count = items.len();
        serde_json::to_vec(&List { items, count }).expect("a list is JSON")
    }
}

fn line(item: &Item) -> Line<'_> {
    Line {
        id: item.id,
        name: &item.name,
        category: &item.category,
        price: item.price,
        quantity: item.quantity,
        active: item.active,
        tags: &item.tags,
        rating: &item.rating,
        total: item.price * item.quantity,
    }
}

/// Writes what the path and the query say as JSON.
pub fn user(id: &str, query: &str) -> Vec<u8> {
    let user = User {
        id,
        page: parameter(query, "page"),
        sort: parameter(query, "sort"),
    };
    serde_json::to_vec(&user).expect("a user is JSON")
}

/// The value of a parameter of a query, as it was sent; empty when there is none.
fn parameter<'a>(query: &'a str, name: &str) -> &'a str {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value)
}

/// The first argument.
pub fn port() -> u16 {
    let word = std::env::args().nth(1).expect("the port is the first argument");
    word.parse().expect("the port is a number")
}

/// A variable of the environment that has to be there.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}
