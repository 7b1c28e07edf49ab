//! Holds the private keys of many customers' Box apps and hands out the access tokens they mint:
//! full ones to internal services, downscoped ones to browsers. `ARCHITECTURE.md` tells the rooms,
//! their order and the invariants.

pub mod clock;
pub mod entropy;
pub mod secret;

pub mod domain;

pub mod config;

pub mod crypto;

pub mod flight;

pub mod audit;

pub mod store;

pub mod box_api;

pub mod auth;

pub mod broker;

pub mod registry;

pub mod http;

pub mod app;

pub mod cli;

#[cfg(feature = "sandbox")]
pub mod page;
