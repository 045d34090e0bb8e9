//! Sessions as text: `Session`, `Timers` and the real decoder, driven as a connection drives them, by a made-up clock.
//!
//! ```text
//! # a comment
//! > SEND                  what the client sends, byte for byte; ^@ is NUL; a lone (beat) is a line end
//! < RECEIPT               what it gets
//! +10s                    time passes (s, ms)
//! ? 1 SEND /topic/a "hi"  what the session asks others, by its ticket
//! ! 1 done                what others say (see `Run::others`)
//! = closed 1002           whatever else follows
//! ```
//!
//! A file is played from its `>`, `+` and `!` lines alone; what comes out must be the whole file.

#![allow(clippy::unwrap_used, reason = "a transcript that can't be read is a failed test")]

mod print;
mod run;

use run::Run;

fn check(transcript: &str) {
    let expected: Vec<&str> = transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let actual = Run::play(&expected);
    assert!(actual == expected, "expected:\n{}\n\nactual:\n{}\n", expected.join("\n"), actual.join("\n"));
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(include_str!(concat!(stringify!($name), ".txt")));
            }
        )*

        #[test]
        fn every_file_is_a_test() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/transcripts");
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".txt").map(str::to_owned))
                .collect();
            files.sort();
            let mut names = vec![$(stringify!($name)),*];
            names.sort_unstable();
            assert_eq!(files, names);
        }
    };
}

transcripts! {
    connect_chooses_the_highest_common_version
    connect_without_accept_version_is_1_0
    stomp_means_connect
    connect_with_no_common_version_ends
    connect_with_a_bad_heart_beat_ends
    connect_that_is_refused_ends_and_nothing_behind_it_counts
    frames_behind_connect_wait_until_it_is_accepted
    a_frame_before_connect_ends
    a_second_connect_ends
    a_command_of_servers_ends
    bytes_that_are_no_frame_end
    silence_before_connect_ends
    a_frame_that_is_never_finished_ends
    a_heart_beat_goes_out_before_it_is_missed
    a_write_puts_the_next_beat_off
    a_client_that_breaks_its_promise_ends
    a_client_that_promised_nothing_may_be_silent
    a_client_that_takes_no_bytes_ends
    a_token_that_expires_ends
    send_is_answered_when_it_is_taken
    send_loses_reserved_headers
    receipts_of_sends_keep_the_order_of_the_sends
    a_refused_send_waits_for_its_turn
    a_send_without_receipt_that_fails_is_an_error
    send_to_no_destination_ends
    send_to_a_user
    send_in_a_transaction_ends
    begin_ends
    an_idempotency_key_that_is_empty_ends
    too_many_sends_in_flight_are_not_read
    subscribe_is_answered_when_it_is_live
    subscribe_with_history
    subscribe_after_a_position_that_is_gone
    subscribe_with_history_and_after_ends
    a_wildcard_has_no_history
    subscribe_without_id_ends
    subscribe_without_id_is_fine_in_1_0
    the_same_subscription_twice_is_one
    a_subscription_id_for_another_destination_ends
    one_subscription_too_many_ends
    subscribe_to_another_users_queue_ends
    a_subscription_that_others_ended_can_be_made_anew
    unsubscribe_is_in_force_at_once
    unsubscribe_from_what_is_not_there_is_answered
    a_refusal_is_a_notice_where_the_session_listens_for_it
    a_refusal_is_an_error_where_nobody_listens
    ack_client_covers_all_before_it
    ack_client_individual_covers_one
    ack_of_what_was_answered_before_is_ignored
    ack_of_what_was_never_given_ends
    ack_by_message_id_in_1_1
    nack_is_no_command_of_1_0
    what_is_held_back_goes_with_its_subscription
    disconnect_is_answered_last
    disconnect_without_receipt_closes
    a_send_that_fails_behind_disconnect_is_still_an_error
    an_end_from_outside_is_the_last_frame
    a_receipt_that_is_too_long_ends
    a_senders_header_is_one_line_in_1_2
    a_senders_header_that_1_0_can_not_write_is_left_out
}
