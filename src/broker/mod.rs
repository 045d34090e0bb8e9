//! The simple broker: who on this node is subscribed to what, and the queue to each of them.
//! Sees no frame, no socket and no bus.

mod outbox;
mod subscriber_list;
mod subscription_registry;

pub use outbox::{NewRoles, Outbox, OutboxSettings, Slot};
pub use subscriber_list::{Subscriber, SubscriberList};
pub use subscription_registry::SubscriptionRegistry;
