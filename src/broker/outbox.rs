//! The queue to one client: bounded in bytes, swapped whole by the one who writes it to the socket.
