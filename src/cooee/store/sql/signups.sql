-- Sign-ups for a trial, their links, their mails, and the limits.

-- name: signup_lock [sqlite]

-- name: signup_lock [postgres]
-- Sign-ups are few. Who counts them, takes a name or makes an account of one does so alone, on all nodes.
SELECT pg_advisory_xact_lock(1668247302);

-- name: signup_tries
-- Of one network, of the wider one that it is in, and of all within an hour, and what was stored within a day; and
-- since when: the oldest of each.
SELECT
    (SELECT COUNT(*) FROM signup_try WHERE network = :network AND at > :hour),
    (SELECT MIN(at) FROM signup_try WHERE network = :network AND at > :hour),
    (SELECT COUNT(*) FROM signup_try WHERE site = :site AND site <> '' AND at > :hour),
    (SELECT MIN(at) FROM signup_try WHERE site = :site AND site <> '' AND at > :hour),
    (SELECT COUNT(*) FROM signup_try WHERE at > :hour),
    (SELECT MIN(at) FROM signup_try WHERE at > :hour),
    (SELECT COUNT(*) FROM signup_try WHERE at > :day AND stored = 1),
    (SELECT MIN(at) FROM signup_try WHERE at > :day AND stored = 1);

-- name: add_signup_try
INSERT INTO signup_try (at, network, site, stored) VALUES (:at, :network, :site, 0) RETURNING id;

-- name: signup_try_stored
UPDATE signup_try SET stored = 1 WHERE id = :id;

-- name: signup_name_taken
-- By an account, or by a sign-up that waits. Accounts are few: no index bears the first.
SELECT 1 WHERE EXISTS (SELECT 1 FROM account WHERE LOWER(name) = :name_key)
    OR EXISTS (SELECT 1 FROM signup WHERE name_key = :name_key AND state = 0 AND over_at > :now);

-- name: signup_name_of_account
SELECT 1 FROM account WHERE LOWER(name) = :name_key LIMIT 1;

-- name: drop_expired_signup
-- One that has expired holds its name no longer. It stays, for its mails are counted.
UPDATE signup SET state = 4 WHERE name_key = :name_key AND state = 0 AND over_at <= :now;

-- name: add_signup
INSERT INTO signup (id, created_at, state, over_at, name, name_key, password_hash, company, email, email_key, zone,
    country, network, account_id, mail_state, mail_at, mail_tries, mail_error)
VALUES (:id, :now, 0, :over_at, :name, :name_key, :password_hash, :company, :email, :email_key, :zone,
    :country, :network, NULL, :mail_state, :now, 0, '')
ON CONFLICT DO NOTHING;

-- name: signup_by_id
SELECT s.id, s.created_at, s.state, s.over_at, s.name, s.company, s.email, s.email_key, s.zone, s.country, s.network,
    s.account_id, s.mail_state, s.mail_at, s.mail_tries, s.mail_error, s.password_hash, a.name
FROM signup s LEFT JOIN trial t ON t.email_key = s.email_key AND t.granted = 1
    LEFT JOIN account a ON a.id = t.account_id
WHERE s.id = :id;

-- name: signups_waiting
-- Those that wait, below an id, the newest first; with the account that the mailbox had its trial with.
SELECT s.id, s.created_at, s.state, s.over_at, s.name, s.company, s.email, s.email_key, s.zone, s.country, s.network,
    s.account_id, s.mail_state, s.mail_at, s.mail_tries, s.mail_error, s.password_hash, a.name
FROM signup s LEFT JOIN trial t ON t.email_key = s.email_key AND t.granted = 1
    LEFT JOIN account a ON a.id = t.account_id
WHERE s.state = 0 AND s.over_at > :now AND s.id < :before ORDER BY s.id DESC LIMIT :limit;

-- name: signups_over
-- The others: decided, or expired.
SELECT s.id, s.created_at, s.state, s.over_at, s.name, s.company, s.email, s.email_key, s.zone, s.country, s.network,
    s.account_id, s.mail_state, s.mail_at, s.mail_tries, s.mail_error, s.password_hash, a.name
FROM signup s LEFT JOIN trial t ON t.email_key = s.email_key AND t.granted = 1
    LEFT JOIN account a ON a.id = t.account_id
WHERE (s.state <> 0 OR s.over_at <= :now) AND s.id < :before ORDER BY s.id DESC LIMIT :limit;

-- name: count_signups_waiting
SELECT COUNT(*) FROM signup WHERE state = 0 AND over_at > :now;

-- name: signup_named
-- The newest of that name that is no account: it waits, or was refused.
SELECT s.id, s.state, s.password_hash, s.mail_state FROM signup s
WHERE s.name_key = :name_key AND s.name = :name AND (s.state = 3 OR s.state = 0 AND s.over_at > :now)
  AND NOT EXISTS (SELECT 1 FROM account a WHERE a.name = :name)
ORDER BY s.state, s.id DESC LIMIT 1;

-- name: signup_done
-- Decided once: whoever comes second changes nothing. Where there is an account, its hash is there.
UPDATE signup SET state = :state, over_at = :now, account_id = CAST(:account_id AS BIGINT),
    password_hash = CASE WHEN CAST(:account_id AS BIGINT) IS NULL THEN password_hash ELSE '' END
WHERE id = :id AND state = 0 AND over_at > :now;

-- name: add_trial
INSERT INTO trial (account_id, email, email_key, company, granted, at)
VALUES (:account_id, :email, :email_key, :company, :granted, :now)
ON CONFLICT DO NOTHING;

-- name: trial_of_account
SELECT email, company, at FROM trial WHERE account_id = :account_id;

-- name: signup_of_link
SELECT signup_id, token_hash FROM signup_link WHERE token_hash = :token_hash;

-- name: add_signup_link
INSERT INTO signup_link (token_hash, signup_id, made_at) VALUES (:token_hash, :signup_id, :now);

-- name: signup_mail_due
SELECT 1 FROM signup WHERE state = 0 AND mail_state = 1 AND mail_at <= :now AND over_at > :now LIMIT 1;

-- name: claim_signup_mail [sqlite]
UPDATE signup SET mail_at = :leased_until, mail_tries = mail_tries + 1 WHERE id = (
    SELECT id FROM signup WHERE state = 0 AND mail_state = 1 AND mail_at <= :now AND over_at > :now
    ORDER BY mail_at, id LIMIT 1)
RETURNING id, name, email, email_key, mail_tries;

-- name: claim_signup_mail [postgres]
-- The one that is due longest and that no other node has at this moment; nobody else tries it before the lease ends.
UPDATE signup SET mail_at = :leased_until, mail_tries = mail_tries + 1 WHERE id = (
    SELECT id FROM signup WHERE state = 0 AND mail_state = 1 AND mail_at <= :now AND over_at > :now
    ORDER BY mail_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, name, email, email_key, mail_tries;

-- name: mails_to
-- How many sign-ups' mails went to a mailbox since then, and the account that it had its trial with.
SELECT
    (SELECT COUNT(*) FROM signup WHERE email_key = :email_key AND mail_state = 2 AND mail_at > :since),
    (SELECT a.name FROM trial t JOIN account a ON a.id = t.account_id
     WHERE t.email_key = :email_key AND t.granted = 1);

-- name: signup_mailed
-- What came of a try. `tries` tells that nobody else has tried meanwhile. A link counts from when its mail went out.
UPDATE signup SET mail_state = :mail_state, mail_at = :mail_at, mail_error = :error,
    over_at = CASE WHEN CAST(:over_at AS BIGINT) > over_at THEN CAST(:over_at AS BIGINT) ELSE over_at END
WHERE id = :id AND state = 0 AND mail_tries = :tries;

-- name: mail_signup_again
UPDATE signup SET mail_state = 1, mail_at = :now, mail_error = '',
    over_at = CASE WHEN CAST(:over_at AS BIGINT) > over_at THEN CAST(:over_at AS BIGINT) ELSE over_at END
WHERE id = :id AND state = 0 AND over_at > :now;

-- name: drop_old_signups
DELETE FROM signup WHERE id IN (SELECT id FROM signup WHERE over_at < :before ORDER BY over_at LIMIT :limit);

-- name: count_old_signups
SELECT COUNT(*) FROM signup WHERE over_at < :before;

-- name: drop_old_signup_links
DELETE FROM signup_link WHERE token_hash IN (
    SELECT token_hash FROM signup_link WHERE made_at < :before ORDER BY made_at LIMIT :limit);

-- name: count_old_signup_links
SELECT COUNT(*) FROM signup_link WHERE made_at < :before;

-- name: drop_old_signup_tries
DELETE FROM signup_try WHERE id IN (SELECT id FROM signup_try WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_signup_tries
SELECT COUNT(*) FROM signup_try WHERE at < :before;
