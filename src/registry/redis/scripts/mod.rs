//! What is decided inside Redis, where nobody comes between.

use std::sync::LazyLock;

use redis::Script;

/// A script with the functions it uses before it.
macro_rules! script {
    ($name:ident: $($file:literal)+) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(concat!($(include_str!($file)),+)));
    };
}

script!(RENEW: "common.lua" "nodes.lua" "renew.lua");
script!(GIVE_BACK: "common.lua" "nodes.lua" "give_back.lua");
script!(LIST_NODES: "common.lua" "list_nodes.lua");
script!(ADMIT: "common.lua" "nodes.lua" "revoked.lua" "admit.lua");
script!(SESSIONS_OF: "common.lua" "nodes.lua" "sessions_of.lua");
script!(END_SESSION: "common.lua" "nodes.lua" "end_session.lua");
script!(REVOKE: "common.lua" "revoked.lua" "revoke.lua");
script!(IS_REVOKED: "common.lua" "revoked.lua" "is_revoked.lua");
script!(BEGIN_REFILL: "common.lua" "begin_refill.lua");
script!(REFILL: "revoked.lua" "refill.lua");
script!(FINISH_REFILL: "finish_refill.lua");
script!(SWEEP: "common.lua" "sweep.lua");
script!(REGISTER: "common.lua" "register.lua");
script!(UNREGISTER: "common.lua" "unregister.lua");
script!(WRITE_LOGIN: "common.lua" "write_login.lua");
script!(TOUCH_LOGIN: "common.lua" "touch_login.lua");
script!(END_LOGIN: "common.lua" "end_login.lua");
script!(BEGIN_NEWS: "begin_news.lua");
