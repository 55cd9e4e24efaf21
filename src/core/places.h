/* src/core/places.h -- every place that keeps part of a report, and what erases it there. */
#pragma once

/* A column, an index, a file, a cache or a log that is to keep a part of a report is entered here
 * first. `make docs` generates the table of doc/guarantees.md from it, `reportd fsck` calls the
 * function that each place names, and the tests of erasure and the torture look into each place
 * (tests/e2e/places.py reads this file). `make lint` fails if a column or an index of a store, or a
 * function that makes a file, is neither here nor among REPORT_NO_PLACES.
 *
 *   stores     the kinds of store that have it, as the tests call them
 *   where      TABLE(COLUMN ...); files, with {KEY} for what the configuration says; or a word
 *   made by    FILE:FUNCTION of each function that makes such a file
 *   erased by  the functions that erase it; none: reportd cannot
 *   lasts      how long after the answer to DELETE it may keep something
 *   fsck       the function of src/proc/audit.c that looks for what is left there
 *   seams      steps of being filled or erased at which the tests crash the process
 *   tests      of tests/e2e, or as a path in tests/, that look there after a deletion */
#define PLACE_ALL "sqlite postgres-files postgres-rows"
#define PLACE_POSTGRES "postgres-files postgres-rows"
#define PLACE_FILES "sqlite postgres-files"
#define PLACE_DELETED "test_erasure.py::test_nothing_is_left_of_a_deleted_report"
#define PLACE_PURGED "test_erasure.py::test_nothing_is_left_of_a_purged_report"
#define PLACE_WALKED "test_places.py::test_a_place_keeps_a_report_until_its_deletion "
#define REPORT_PLACES(X)                                                                           \
    /* name, stores, where, made by, what it keeps,                                                \
     * erased by, lasts, fsck, seams, tests */                                                     \
    X(ROW, PLACE_ALL,                                                                              \
      "report(seq id user_id state slot attempt failures rows bytes submitted_ms started_ms "      \
      "finished_ms expires_ms digest name message parameters seal_key in_row node token "          \
      "definition key_number wrapped_key result_sealed sealed_parameters sealed_message "          \
      "sealed_digest footer source) index(report_of_user report_of_type report_slot "              \
      "report_expiry "                                                                             \
      "report_work report_queue "                                                                  \
      "report_state report_node report_retried report_wanted report_turn)",                        \
      "", "its row: reference, parameters and claims, message, digest, key of its result",         \
      "sqlite_tombstone sqlite_delete_row postgres_send_delete_row", "not at all", fsck_rows,      \
      "deletion.delete.marked deletion.delete.dropped",                                            \
      PLACE_WALKED PLACE_DELETED                                                                   \
      " " PLACE_PURGED " test_erasure.py::test_nothing_is_left_of_parameters_that_were_listed")    \
    X(MANY, PLACE_ALL, "", "", "the rows of reports that one request deletes",                     \
      "sqlite_delete_rows postgres_send_delete_rows", "not at all", fsck_rows,                     \
      "deletion.many.marked deletion.many.dropped",                                                \
      "test_erasure.py::test_nothing_is_left_of_reports_that_are_deleted_at_once")                 \
    X(KEY, PLACE_ALL,                                                                              \
      "report(key key_hash key_expires_ms key_mac request_mac) "                                   \
      "index(report_key report_key_expiry report_key_mac)",                                        \
      "", "its idempotency key, in its row",                                                       \
      "sqlite_tombstone sqlite_delete_row postgres_send_delete_row", "not at all", fsck_rows,      \
      "deletion.delete.marked deletion.delete.dropped",                                            \
      PLACE_WALKED "test_erasure.py::test_nothing_is_left_of_an_idempotency_key")                  \
    X(SMALL_RESULT, "sqlite", "small_result(seq data)", "", "a small result",                      \
      "sqlite_tombstone sqlite_delete_row", "not at all", fsck_rows, "deletion.delete.marked",     \
      PLACE_WALKED PLACE_DELETED)                                                                  \
    X(PART, PLACE_ALL, "{spool}/*.part {temp}/*.part",                                             \
      "folder:folder_create "                                                                      \
      "postgres:postgres_create",                                                                  \
      "an unfinished result; with results in rows, a file without a name", "folder_remove",        \
      "not at all", fsck_files, "deletion.delete.stopped spool.remove.unlinked",                   \
      PLACE_WALKED PLACE_DELETED)                                                                  \
    X(RESULT, PLACE_FILES, "{spool}/*.*.json", "", "a result in a file", "folder_remove",          \
      "not at all", fsck_files,                                                                    \
      "spool.remove.truncated spool.remove.unlinked deletion.delete.unlinked",                     \
      PLACE_WALKED PLACE_DELETED                                                                   \
      " test_erasure.py::test_an_encrypted_result_never_shows "                                    \
      "test_compression.py::test_nothing_is_left_of_it_once_it_is_deleted")                        \
    X(CHUNK, "postgres-rows", "result_chunk(report_id attempt number data)", "",                   \
      "a result in rows, sealed", "postgres_remove postgres_send_delete_row", "not at all",        \
      fsck_files, "spool.publish.copied spool.remove.slice", PLACE_WALKED PLACE_DELETED)           \
    X(PROGRESS, PLACE_POSTGRES, "progress(id attempt rows bytes)", "",                             \
      "the reference, rows and bytes of a running report", "postgres_send_delete_row",             \
      "not at all", fsck_nothing, "deletion.delete.dropped",                                       \
      PLACE_WALKED PLACE_DELETED                                                                   \
      " test_erasure.py::test_progress_that_is_written_during_a_deletion_does_not_outlive_it")     \
    X(TRANSFER, PLACE_POSTGRES,                                                                    \
      "transfer(id report_id node) index(transfer_of_report transfer_of_node)", "",                \
      "the reference of a result that is being sent", "transfers_end", "until its node is dead",   \
      fsck_nothing, "deletion.delete.stopped",                                                     \
      PLACE_WALKED                                                                                 \
      "test_transfers.py::test_a_delete_on_one_node_ends_the_transfers_of_the_others")             \
    X(SOCKET, PLACE_ALL, "socket", "", "what the kernel has of a result that is being sent",       \
      "transfers_end", "not at all", fsck_nothing, "http.result.found",                            \
      "test_erasure.py::test_nothing_is_left_of_a_report_that_is_being_downloaded "                \
      "test_transfers.py::test_what_the_kernel_has_of_a_small_result_is_dropped")                  \
    X(MEMFD, PLACE_ALL, "memfd:reportd-texts", "wire:wire_order_write_texts",                      \
      "the parameters and claims, in a sealed memfd of the worker", "wire_order_done",             \
      "not at all", fsck_nothing, "worker.run.received deletion.delete.stopped",                   \
      PLACE_WALKED "test_erasure.py::test_nothing_is_left_in_memory_that_looks_like_a_file")       \
    X(SPILL, PLACE_ALL, "{spool}/temp/* {temp}/*", "",                                             \
      "rows that its query spills, in files without a name", "temp_close", "not at all",           \
      fsck_files, "deletion.delete.stopped",                                                       \
      "test_cancel.py::test_what_a_query_has_spilled_to_the_disk_is_gone")                         \
    X(STORE_FILE, "sqlite", "{store}", "sqlite_open:make_store_file", "freed pages of the store",  \
      "sqlite_scrub_vfs", "five seconds", fsck_nothing, "deletion.delete.dropped",                 \
      PLACE_WALKED "test_erasure.py::test_many_deleted_among_many_leave_nothing")                  \
    X(STORE_LOG, "sqlite", "{store}-wal {store}-shm", "", "the write-ahead log of the store",      \
      "empty_log", "five seconds, or while another program reads the store", fsck_nothing,         \
      "store.log.kept",                                                                            \
      PLACE_WALKED "test_erasure.py::test_a_reader_that_holds_the_log_only_delays_it "             \
                   "test_erasure.py::"                                                             \
                   "test_the_log_of_the_store_that_survives_a_crash_is_emptied_by_the_next_start") \
    X(DATABASE, PLACE_POSTGRES, "postgresql erase_key(number wrapped fingerprint made retired)",   \
      "", "dead tuples, WAL, archive, base backups and log of PostgreSQL, all sealed",             \
      "erase_file_write",                                                                          \
      "until the key is replaced: erase_after; in clear, as SECURITY.md says: as long as "         \
      "PostgreSQL keeps it",                                                                       \
      fsck_nothing,                                                                                \
      "erase.rotate.published erase.rotate.rewrapped erase.rotate.retired "                        \
      "erase.file.overwritten",                                                                    \
      "test_erasure_postgres.py::test_after_a_rotation_nothing_opens_a_deleted_report "            \
      "test_erasure_postgres.py::test_nothing_of_a_report_is_ever_readable_in_the_database")       \
    X(LEDGER, PLACE_ALL, "{deletion_ledger} {deletion_ledger}.new", "ledger:open_ledger_temp",     \
      "a keyed hash of the reference, and when it was deleted", "copy_young", "backup_horizon",    \
      fsck_nothing, "ledger.append.synced ledger.expire.copied ledger.expire.renamed",             \
      PLACE_WALKED "test_ledger.py::test_the_ledger_does_not_have_the_reference "                  \
                   "test_ledger.py::test_records_beyond_the_horizon_go")                           \
    X(STATUS, PLACE_ALL, "memory", "", "the cached status of a complete report",                   \
      "status_cache_find", "not at all", fsck_nothing, "http.result.found",                        \
      "test_delete.py::test_every_endpoint_that_takes_a_reference_is_asked_after_the_deletion "    \
      "unit/remembered_test.c::what_has_changed_is_not_remembered "                                \
      "contract/store_version_test.c::nothing_deleted_is_remembered_whoever_deletes_it")           \
    X(EVENTS, PLACE_ALL, "memory", "",                                                             \
      "events that clients have not got yet, or may ask for again", "streams_on_change",           \
      "a minute: the reference, and that it is deleted", fsck_nothing, "deletion.delete.marked",   \
      "test_events.py::test_what_a_client_has_not_got_is_dropped_by_a_deletion")                   \
    X(LOG, PLACE_ALL, "stderr", "", "the reference, the type and what was done, no value", "",     \
      "as long as the log is kept", fsck_nothing, "deletion.delete.dropped",                       \
      PLACE_WALKED "test_erasure.py::test_no_value_is_logged_whatever_the_database_says")          \
    X(TRAIL, PLACE_ALL, "{audit_log} {audit_log}.*", "trail_file:trail_file_open",                 \
      "a keyed hash of the reference, the type, and who did what when", "",                        \
      "as long as the operator keeps the file", fsck_nothing, "trail.append.written",              \
      "test_trail.py::test_nothing_of_a_deleted_report_is_in_the_trail_except_the_hash")           \
    X(BACKUP, PLACE_FILES, "BACKUP/*",                                                             \
      "sqlite_backup:make_copy backup_manifest:write_manifest_file",                               \
      "what a backup has copied; a restore deletes it again", "restore_apply",                     \
      "until the backup is removed", fsck_nothing,                                                 \
      "backup.store.copied backup.results.copied restore.deletions.applied",                       \
      "test_backup.py::test_what_was_backed_up_comes_back_and_what_was_deleted_does_not "          \
      "test_backup_postgres.py::test_what_was_deleted_since_the_backup_stays_deleted")             \
    X(PARTIAL, "sqlite", "BACKUP.partial/*", "", "a backup that was broken off", "sweep_partial",  \
      "until it is removed or made again", fsck_nothing, "backup.store.copied",                    \
      "test_backup.py::test_a_backup_that_is_killed_is_whole_or_not_there "                        \
      "test_backup.py::test_a_backup_that_fails_leaves_nothing")                                   \
    X(RESTORE, "sqlite", "{store}.restore*", "restore:copy_store_file",                            \
      "the store that a killed restore has begun", "restore_clear", "until the next start",        \
      fsck_restores, "restore.store.copied restore.deletions.applied",                             \
      "test_backup.py::test_what_a_killed_restore_has_left_goes_at_the_next_start")

/* What is kept that is not part of a report, and why it may stay: name, where, made by, what it
 * is. */
#define REPORT_NO_PLACES(X)                                                                        \
    X(USERS,                                                                                       \
      "user(id active_limit running_limit turn name password_hash disabled failures "              \
      "first_failure_ms locked_until_ms allow grants operator removed issuer subject "             \
      "member_of member_s) account(id name "                                                       \
      "active_limit running_limit password_hash disabled failures first_failure_ms "               \
      "locked_until_ms allow grants operator removed issuer subject member_of member_s) "          \
      "user_group(name grants operator) session(id user_id access refresh_hash "                   \
      "created_ms renewed_ms address "                                                             \
      "expires_ms) used_refresh(session_id hash access used_ms) "                                  \
      "login_address(user_id address succeeded_ms failures first_failure_ms "                      \
      "locked_until_ms) "                                                                          \
      "api_key(id user_id name hash grants allow operator suspended created_ms expires_ms "        \
      "used_ms) "                                                                                  \
      "index(account_name session_of_user session_expiry user_removed account_removed "            \
      "api_key_name user_subject account_subject)",                                                \
      "", "users, their groups, sessions, API keys and addresses")                                 \
    X(PAUSED, "paused(source)", "", "which sources are paused")                                    \
    X(CHANGED, "changed_user(user_id)", "", "users that another process has changed")              \
    X(WAITING,                                                                                     \
      "turn(user_id number) waiting(user_id wanted turn first_seq version) "                       \
      "index(waiting_turn)",                                                                       \
      "", "whose turn it is, and users that wait for a type of report")                            \
    X(COUNTS, "tally(node n)", "", "how many reports there are")                                   \
    X(NODES,                                                                                       \
      "node(id host lease_ms began_at alive_until offer) missing(wanted since) "                   \
      "writer(id batch seen)",                                                                     \
      "", "nodes and their connections, and names of definitions")                                 \
    X(IDENTITY,                                                                                    \
      "identity(id home last_user) schema_version(version) {spool}/store.id {spool}/store.id.new", \
      "mark:spool_mark_write", "which store this is")                                              \
    X(LEDGERS, "ledger(id place records noted given_up_ms)", "",                                   \
      "which ledgers there are, and how many records each has")                                    \
    X(KEYS,                                                                                        \
      "key_check(name fingerprint) {key_file} {receipt_key_file} {erase_key_file} "                \
      "{audit_key_file} *.key.new",                                                                \
      "key_file:open_temporary key_file:open_nameless", "keys")                                    \
    X(RESERVE, "{store}-reserve*", "sqlite_reserve:make_part", "blocks of zeros")                  \
    X(CHECK, "", "temp:try_to_write", "zeros, to see whether a folder can be written to")          \
    X(CHOICES, "memfd:reportd-choices", "choices:send_question",                                   \
      "choices of forms: data of the source, asked for without a report")                          \
    X(TRIAL, "memfd:reportd-try", "try:make_places", "what `reportd try` prints: nothing is stored")
