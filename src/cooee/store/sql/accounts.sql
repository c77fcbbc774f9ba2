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
    may_add_credits, times_utc, window_opens, window_closes, created_at, approved_only, credit_limit, daily_cap,
    low_balance, countries, shape_only, smart_encoding
FROM account WHERE name = :name;

-- name: account_by_id
SELECT id, name, password_hash, parent_id, state, zone, country, allow_unicode, allow_long, allow_international,
    may_add_credits, times_utc, window_opens, window_closes, created_at, approved_only, credit_limit, daily_cap,
    low_balance, countries, shape_only, smart_encoding
FROM account WHERE id = :id;

-- name: list_accounts
SELECT a.id, a.name, a.state, a.credits, a.zone, a.country, p.name
FROM account a LEFT JOIN account p ON p.id = a.parent_id ORDER BY a.name;

-- name: accounts_page
-- The next accounts behind a name. `word` is a pattern, folded and as it was typed (SQLite folds ASCII only), or a
-- UserId. Accounts are few: no index bears this search.
SELECT a.id, a.name, a.state, a.credits, a.zone, a.country, p.name, a.low_balance
FROM account a LEFT JOIN account p ON p.id = a.parent_id
WHERE a.name > :after
  AND (CAST(:word AS TEXT) IS NULL OR LOWER(a.name) LIKE :folded ESCAPE '\' OR a.name LIKE :word ESCAPE '\'
       OR CAST(a.id AS TEXT) = :number)
  AND (CAST(:state AS BIGINT) IS NULL OR a.state = CAST(:state AS BIGINT))
  AND (CAST(:parent_id AS BIGINT) IS NULL OR a.parent_id = CAST(:parent_id AS BIGINT))
ORDER BY a.name LIMIT :limit;

-- name: send_window
SELECT zone, window_opens, window_closes FROM account WHERE id = :id;

-- name: account_summary
-- What a person is shown beside the account itself.
SELECT a.credits, p.name, a.suspended_at, a.day_starts, a.day_spent
FROM account a LEFT JOIN account p ON p.id = a.parent_id WHERE a.id = :id;

-- name: account_credits
SELECT credits FROM account WHERE id = :id;

-- name: account_room
-- What a charge could take at most, as `charge` sees it.
SELECT CASE WHEN daily_cap IS NULL OR credits + credit_limit < daily_cap - spent THEN credits + credit_limit
    ELSE daily_cap - spent END
FROM (SELECT credits, credit_limit, daily_cap,
          CASE WHEN CAST(:day AS BIGINT) > day_starts THEN 0 ELSE day_spent END AS spent
      FROM account WHERE id = :id) AS a;

-- name: set_account
-- Writes every setting that a person may change; the caller read the row in the same transaction.
UPDATE account SET zone = :zone, country = :country, allow_unicode = :allow_unicode, allow_long = :allow_long,
    allow_international = :allow_international, may_add_credits = :may_add_credits, times_utc = :times_utc,
    parent_id = :parent_id, window_opens = :opens, window_closes = :closes, approved_only = :approved_only,
    credit_limit = :credit_limit, daily_cap = :daily_cap, low_balance = :low_balance, countries = :countries,
    shape_only = :shape_only, smart_encoding = :smart_encoding
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
-- Takes `amount` credits if the account is active and neither its credit limit nor its daily cap is passed; numbers
-- `count` ledger rows. The first charge of a local day begins a new sum: days only go on, so that two nodes of which
-- one knows an older zone cannot begin it in turns.
UPDATE account SET credits = credits - :amount, ledger_no = ledger_no + :count,
    day_spent = CAST(:amount AS BIGINT) + CASE WHEN CAST(:day AS BIGINT) > day_starts THEN 0 ELSE day_spent END,
    day_starts = CASE WHEN CAST(:day AS BIGINT) > day_starts THEN CAST(:day AS BIGINT) ELSE day_starts END
WHERE id = :id AND state = 1 AND credits - CAST(:amount AS BIGINT) >= -credit_limit
  AND (daily_cap IS NULL
       OR CAST(:amount AS BIGINT) + CASE WHEN CAST(:day AS BIGINT) > day_starts THEN 0 ELSE day_spent END <= daily_cap)
RETURNING ledger_no - :count + 1, credits, low_balance, name;

-- name: give
-- Adds `amount` credits (a correction may be negative, never past the credit limit); numbers one ledger row.
UPDATE account SET credits = credits + :amount, ledger_no = ledger_no + 1
WHERE id = :id AND (CAST(:amount AS BIGINT) >= 0 OR credits + CAST(:amount AS BIGINT) >= -credit_limit)
RETURNING ledger_no, credits, low_balance, name;

-- name: refund
-- Gives credits of a campaign back, whatever the balance is. They give room under the daily cap if the campaign was
-- made on the day that is being counted.
UPDATE account SET credits = credits + :amount, ledger_no = ledger_no + 1,
    day_spent = CASE
        WHEN NOT EXISTS (SELECT 1 FROM campaign c WHERE c.account_id = :id AND c.id = :campaign_id
                         AND c.created_at >= account.day_starts) THEN day_spent
        WHEN day_spent > CAST(:amount AS BIGINT) THEN day_spent - CAST(:amount AS BIGINT)
        ELSE 0 END
WHERE id = :id
RETURNING ledger_no, credits;

-- name: add_ledger rows(account_id bigint, no bigint, amount bigint, kind text, campaign_id bigint, reason text) bound
INSERT INTO ledger (account_id, no, at, amount, kind, campaign_id, reason)
SELECT r.account_id, r.no, CAST(:at AS BIGINT), r.amount, r.kind, r.campaign_id, r.reason FROM {rows} AS r;

-- name: account_ledger
SELECT no, at, amount, kind, campaign_id, reason FROM ledger
WHERE account_id = :account_id ORDER BY no DESC LIMIT :limit;

-- name: ledger_differences
-- Accounts whose balance is not the sum of their ledger: must be none, ever.
SELECT a.name, a.credits, COALESCE(SUM(l.amount), 0) FROM account a LEFT JOIN ledger l ON l.account_id = a.id
GROUP BY a.id, a.name, a.credits HAVING a.credits <> COALESCE(SUM(l.amount), 0);

-- name: originators_of
SELECT originator FROM originator WHERE account_id = :account_id ORDER BY originator;

-- name: add_originators rows(originator text)
INSERT INTO originator (account_id, originator, added_at)
SELECT CAST(:account_id AS BIGINT), r.originator, CAST(:now AS BIGINT) FROM {rows} AS r WHERE true
ON CONFLICT (account_id, originator) DO NOTHING;

-- name: remove_originators rows(originator text)
DELETE FROM originator WHERE account_id = :account_id AND originator IN (SELECT r.originator FROM {rows} AS r);

-- name: rates_of
-- Those of the account, and those that hold for everybody.
SELECT account_id, country, credits FROM rate WHERE account_id IN (0, :account_id) ORDER BY country;

-- name: put_rate
INSERT INTO rate (account_id, country, credits) VALUES (:account_id, :country, :credits)
ON CONFLICT (account_id, country) DO UPDATE SET credits = excluded.credits;

-- name: drop_rate
DELETE FROM rate WHERE account_id = :account_id AND country = :country;

-- name: approval_missing
-- Accounts that may use approved sender IDs only, and have none.
SELECT a.name FROM account a
WHERE a.approved_only = 1 AND NOT EXISTS (SELECT 1 FROM originator o WHERE o.account_id = a.id) ORDER BY a.name;
-- name: account_parents
-- A page of all accounts, to find those below one. There is no index on parents: accounts are few.
SELECT id, name, parent_id FROM account WHERE id > :after ORDER BY id LIMIT :limit;

-- name: ledger_head
-- The balance, and the number of the ledger line that it is the sum up to. What comes later has higher numbers.
SELECT credits, ledger_no FROM account WHERE id = :id;

-- name: ledger_sums
-- One stretch of an account's ledger, summed up: before, in and after a span of time, by kind. Times need not rise
-- with the numbers (nodes have clocks of their own), so that a span is not found by a search. A campaign is counted
-- by the line that charged it first; its row is looked up for those lines alone: the others have no key to look for.
-- One that was removed since has left what is counted in campaign_past.
SELECT CASE WHEN l.at < :starts THEN 0 WHEN l.at < :ends THEN 1 ELSE 2 END, l.kind, SUM(l.amount), COUNT(*),
    COUNT(COALESCE(c.id, p.id)), COALESCE(SUM(COALESCE(c.messages, p.messages)), 0),
    COALESCE(SUM(COALESCE(c.messages * c.segments, p.messages * p.segments)), 0)
FROM ledger l LEFT JOIN campaign c ON c.account_id = l.account_id AND c.id = CASE
    WHEN l.at >= :starts AND l.at < :ends AND l.kind = 'charge' AND l.reason = 'campaign' THEN l.campaign_id END
LEFT JOIN campaign_past p ON p.account_id = l.account_id AND p.id = CASE
    WHEN c.id IS NULL AND l.at >= :starts AND l.at < :ends AND l.kind = 'charge' AND l.reason = 'campaign'
    THEN l.campaign_id END
WHERE l.account_id = :account_id AND l.no > :after AND l.no <= :upto
GROUP BY 1, 2;

-- name: ledger_lines
-- What was neither charged nor given back in a span of time, within one stretch of the ledger: each line of a bill.
SELECT no, at, amount, kind, reason FROM ledger
WHERE account_id = :account_id AND no > :after AND no <= :upto AND at >= :starts AND at < :ends
  AND kind NOT IN ('charge', 'refund')
ORDER BY no;
