CREATE TABLE query_minute (
  database_id INT UNSIGNED NOT NULL,
  fingerprint CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bucket DATETIME NOT NULL,
  queries BIGINT UNSIGNED NOT NULL,
  rows_read BIGINT UNSIGNED NOT NULL,
  total_us BIGINT UNSIGNED NOT NULL,
  summaries BIGINT UNSIGNED NOT NULL,
  slowest_ms INT UNSIGNED NOT NULL,
  latency BLOB NOT NULL,
  PRIMARY KEY (database_id, fingerprint, bucket)
);
CREATE TABLE query_hour (
  database_id INT UNSIGNED NOT NULL,
  fingerprint CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bucket DATETIME NOT NULL,
  queries BIGINT UNSIGNED NOT NULL,
  rows_read BIGINT UNSIGNED NOT NULL,
  total_us BIGINT UNSIGNED NOT NULL,
  summaries BIGINT UNSIGNED NOT NULL,
  slowest_ms INT UNSIGNED NOT NULL,
  latency BLOB NOT NULL,
  PRIMARY KEY (database_id, fingerprint, bucket)
);
CREATE TABLE slow_query (
  database_id INT UNSIGNED NOT NULL,
  at DATETIME(3) NOT NULL,
  from_partition INT UNSIGNED NOT NULL,
  from_offset BIGINT UNSIGNED NOT NULL,
  event_id VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  ms INT UNSIGNED NOT NULL,
  query VARCHAR(500) CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (database_id, at, from_partition, from_offset)
);
