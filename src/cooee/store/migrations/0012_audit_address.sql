-- The audit log says from where something was done; '' where that is unknown, or the command line's.

ALTER TABLE audit ADD COLUMN address TEXT NOT NULL DEFAULT '';
