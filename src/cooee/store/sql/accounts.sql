-- Accounts and their ledger. A balance changes only together with a ledger row, in one transaction, and the row
-- lock that the balance takes is what numbers the ledger.

-- name: add_account
INSERT INTO account (id, name, password_hash, parent_id, state, credits, ledger_no, zone, country, allow_unicode,
    allow_long, allow_international, may_add_credits, times_utc, created_at)
VALUES (:id, :name, :password_hash, :parent_id, 1, 0, 0, :zone, :country, :allow_unicode,
    :allow_long, :allow_international, :may_add_credits, :times_utc, :created_at)
ON CONFLICT (name) DO NOTHING;

-- name: account_by_name
SELECT id, name, password_hash, parent_id, state, zone, country, allow_unicode, allow_long, allow_international,
    may_add_credits, times_utc, window_opens, window_closes, created_at
FROM account WHERE name = :name;

-- name: account_by_id
SELECT id, name, password_hash, parent_id, state, zone, country, allow_unicode, allow_long, allow_international,
    may_add_credits, times_utc, window_opens, window_closes, created_at
FROM account WHERE id = :id;

-- name: list_accounts
SELECT a.id, a.name, a.state, a.credits, a.zone, a.country, p.name
FROM account a LEFT JOIN account p ON p.id = a.parent_id ORDER BY a.name;

-- name: send_window
SELECT zone, window_opens, window_closes FROM account WHERE id = :id;

-- name: account_summary
-- What a person is shown beside the account itself.
SELECT a.credits, p.name, a.suspended_at FROM account a LEFT JOIN account p ON p.id = a.parent_id
WHERE a.id = :id;

-- name: account_credits
SELECT credits FROM account WHERE id = :id;

-- name: set_account
-- Writes every setting that a person may change; the caller read the row in the same transaction.
UPDATE account SET zone = :zone, country = :country, allow_unicode = :allow_unicode, allow_long = :allow_long,
    allow_international = :allow_international, may_add_credits = :may_add_credits, times_utc = :times_utc,
    parent_id = :parent_id
WHERE id = :id;

-- name: set_password
UPDATE account SET password_hash = :password_hash WHERE id = :id;

-- name: set_account_state
UPDATE account SET state = :state, suspended_at = :at WHERE id = :id AND state <> :state;

-- name: lock_accounts [sqlite] rows(id bigint)

-- name: lock_accounts [postgres] rows(id bigint)
-- First in the lock order: whoever is going to move credits says so before it touches campaigns and batches.
SELECT id FROM account WHERE id IN (SELECT id FROM {rows} AS r) ORDER BY id FOR NO KEY UPDATE;

-- name: charge
-- Takes `amount` credits if the account is active and has them; numbers `count` ledger rows.
UPDATE account SET credits = credits - :amount, ledger_no = ledger_no + :count
WHERE id = :id AND state = 1 AND credits >= :amount
RETURNING ledger_no - :count, credits;

-- name: give
-- Adds `amount` credits (a correction may be negative, never below zero); numbers one ledger row.
UPDATE account SET credits = credits + :amount, ledger_no = ledger_no + 1
WHERE id = :id AND credits + :amount >= 0
RETURNING ledger_no, credits;

-- name: add_ledger rows(account_id bigint, no bigint, amount bigint, kind text, campaign_id bigint, reason text)
INSERT INTO ledger (account_id, no, at, amount, kind, campaign_id, reason)
SELECT r.account_id, r.no, CAST(:at AS BIGINT), r.amount, r.kind, r.campaign_id, r.reason FROM {rows} AS r;

-- name: account_ledger
SELECT no, at, amount, kind, campaign_id, reason FROM ledger
WHERE account_id = :account_id ORDER BY no DESC LIMIT :limit;

-- name: ledger_differences
-- Accounts whose balance is not the sum of their ledger: must be none, ever.
SELECT a.name, a.credits, COALESCE(SUM(l.amount), 0) FROM account a LEFT JOIN ledger l ON l.account_id = a.id
GROUP BY a.id, a.name, a.credits HAVING a.credits <> COALESCE(SUM(l.amount), 0);
