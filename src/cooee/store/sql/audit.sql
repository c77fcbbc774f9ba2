-- Who changed what.

-- name: add_audit
INSERT INTO audit (at, actor_kind, actor, address, action, account, carrier, detail)
VALUES (:at, :actor_kind, :actor, :address, :action, :account, :carrier, :detail);

-- name: audit_page
-- The next lines below id `before`, the newest first. A filter of '' lets everything pass.
SELECT id, at, actor_kind, actor, address, action, account, carrier, detail FROM audit
WHERE id < :before AND (:actor_kind = '' OR actor_kind = :actor_kind) AND (:action = '' OR action = :action)
  AND at >= :since AND at < :until
ORDER BY id DESC LIMIT :limit;

-- name: audit_of_actor
SELECT id, at, actor_kind, actor, address, action, account, carrier, detail FROM audit
WHERE actor = :actor AND id < :before AND (:actor_kind = '' OR actor_kind = :actor_kind)
  AND (:action = '' OR action = :action) AND at >= :since AND at < :until
ORDER BY id DESC LIMIT :limit;

-- name: audit_of_account
SELECT id, at, actor_kind, actor, address, action, account, carrier, detail FROM audit
WHERE account = :account AND account <> '' AND id < :before AND (:actor_kind = '' OR actor_kind = :actor_kind)
  AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action) AND at >= :since AND at < :until
ORDER BY id DESC LIMIT :limit;

-- name: audit_of_carrier
SELECT id, at, actor_kind, actor, address, action, account, carrier, detail FROM audit
WHERE carrier = :carrier AND carrier <> '' AND id < :before AND (:actor_kind = '' OR actor_kind = :actor_kind)
  AND (:actor = '' OR actor = :actor) AND (:action = '' OR action = :action) AND at >= :since AND at < :until
  AND (:account = '' OR account = :account)
ORDER BY id DESC LIMIT :limit;
