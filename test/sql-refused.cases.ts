/**
 * What a server answers and the gate refuses over several shards, with the error of ours that says so: the tables of refusals in docs/sql.md (`scripts/generate-sql.mjs`), and the statements that
 * `sql-refused.db.test.ts` asks.
 */

export type Refusal = {
  /** As the page says it. */
  readonly what: string
  readonly why: string
  /** Both servers unless said. */
  readonly on?: 'mysql' | 'mariadb'
  /** Each is refused by itself, with this code; one server takes it. */
  readonly statements: Readonly<Record<string, string>>
  /** Set in the session first; both sides take it. */
  readonly before?: readonly string[]
  /** They are prepared, and executed with these. */
  readonly parameters?: readonly (number | string)[]
}

export const sharding = {
  users: 'by id',
  orders: 'by id',
  papers: 'by id',
  scraps: 'by id',
  parts: 'by id',
  numbered: 'by id',
  watched: 'by id',
  audited: 'by id',
  noted: 'by id',
  kept: 'by id',
  ages: 'by id',
  countries: 'reference',
} as const

/** Of the schema that has everything in one place, and of each shard. */
export const tables: readonly string[] = [
  'users (id BIGINT PRIMARY KEY, name VARCHAR(30) COLLATE utf8mb4_general_ci, age INT, balance DECIMAL(12,2))',
  'orders (id BIGINT PRIMARY KEY, user_id BIGINT, amount DECIMAL(10,2))',
  'papers (id BIGINT PRIMARY KEY, body TEXT, FULLTEXT KEY (body))',
  'scraps (id BIGINT PRIMARY KEY, body TEXT, FULLTEXT KEY (body)) ENGINE = MyISAM',
  'parts (id BIGINT PRIMARY KEY, n INT) PARTITION BY HASH (id) PARTITIONS 2',
  'numbered (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)',
  'watched (id BIGINT PRIMARY KEY, n INT)',
  'audited (id BIGINT PRIMARY KEY, n INT)',
  'noted (id BIGINT PRIMARY KEY, n INT) ENGINE = MyISAM',
  'kept (id BIGINT PRIMARY KEY) /*M! WITH SYSTEM VERSIONING */',
  'ages (id BIGINT PRIMARY KEY)',
  'countries (code INT PRIMARY KEY, name VARCHAR(40), made VARCHAR(40) DEFAULT (UUID()))',
]
export const routines: readonly string[] = [
  'CREATE FUNCTION how_many() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM users)',
  'CREATE TRIGGER watches BEFORE UPDATE ON watched FOR EACH ROW SET NEW.n = NEW.n + 1',
  'CREATE TRIGGER audits AFTER INSERT ON audited FOR EACH ROW INSERT INTO orders (id) VALUES (NEW.id + 1000)',
]

export const reading: readonly Refusal[] = [
  {
    what: 'FOR UPDATE, LOCK IN SHARE MODE in the third way with or within subqueries, derived tables or WITH; SKIP LOCKED there (without: in a transaction the rows that are fetched are locked, which may be more than one server would lock)',
    why: 'what is read under lock is not told apart from what is only read; what is locked by others, a server skips by itself',
    statements: {
      'SELECT id FROM users WHERE age IN (SELECT age FROM users WHERE balance > 1) FOR UPDATE': 'SW-GATE-110',
      'SELECT x.id FROM (SELECT id, age FROM users WHERE age > 1 FOR UPDATE) x JOIN orders o ON o.amount = x.age': 'SW-GATE-100',
      'SELECT COUNT(DISTINCT age) FROM users FOR UPDATE SKIP LOCKED': 'SW-GATE-100',
    },
  },
  {
    what: 'SKIP LOCKED with LIMIT (with FOR UPDATE … LIMIT alone each shard locks as many rows as are asked for in all, so more are locked than are answered, and NOWAIT may meet a lock on one of those)',
    why: 'what each shard locks beyond the answer, other sessions would skip, and nobody be given',
    statements: {
      'SELECT id FROM users WHERE age = 2 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED': 'SW-GATE-100',
      'SELECT id FROM users LIMIT 5 FOR UPDATE SKIP LOCKED': 'SW-GATE-100',
    },
  },
  {
    what: 'the relevance that MATCH … AGAINST gives (selected, compared, ordered by); WITH QUERY EXPANSION; in natural language mode without an ORDER BY or GROUP BY, and at all for tables of engines without transactions; in boolean mode words with `<` or `~` before them. (Answered: MATCH as a condition alone, which AND, OR and NOT may put together. On one shard everything is, of its rows: relevance is then told by how often the words stand on that shard.)',
    why: 'relevance is made of how often the words stand in all rows, and each shard has its own alone; where no order is said, the most relevant rows come first; a row whose relevance comes to 0 is not found',
    statements: {
      "SELECT id, MATCH (body) AGAINST ('apple') AS score FROM papers ORDER BY score DESC LIMIT 3": 'SW-GATE-100',
      "SELECT id FROM papers ORDER BY MATCH (body) AGAINST ('apple' IN BOOLEAN MODE) DESC": 'SW-GATE-100',
      "SELECT id FROM papers WHERE MATCH (body) AGAINST ('apple') > 0.5 ORDER BY id": 'SW-GATE-100',
      "SELECT id FROM papers WHERE MATCH (body) AGAINST ('apple') LIMIT 3": 'SW-GATE-100',
      "SELECT id FROM papers WHERE MATCH (body) AGAINST ('apple' WITH QUERY EXPANSION) ORDER BY id": 'SW-GATE-100',
      "SELECT id FROM papers WHERE MATCH (body) AGAINST ('apple' IN NATURAL LANGUAGE MODE WITH QUERY EXPANSION) ORDER BY id": 'SW-GATE-100',
      "SELECT id FROM papers WHERE MATCH (body) AGAINST ('+pear ~apple' IN BOOLEAN MODE)": 'SW-GATE-100',
      "SELECT id FROM scraps WHERE MATCH (body) AGAINST ('apple') ORDER BY id": 'SW-GATE-100',
      "DELETE FROM papers WHERE MATCH (body) AGAINST ('apple') > 0.5": 'SW-GATE-100',
      "SELECT COUNT(*) FROM papers p JOIN users u ON u.age = p.id WHERE MATCH (p.body) AGAINST ('apple' IN BOOLEAN MODE)": 'SW-GATE-110',
    },
  },
  {
    what: 'SELECT … INTO, SQL_CALC_FOUND_ROWS, `@a := …`, GET_LOCK and its like beside anything else',
    why: 'they belong to one server connection',
    statements: {
      'SELECT COUNT(*) FROM users INTO @a': 'SW-GATE-100',
      'SELECT SQL_CALC_FOUND_ROWS id FROM users LIMIT 1': 'SW-GATE-100',
      'SELECT @a := id FROM users': 'SW-GATE-100',
      "SELECT id, GET_LOCK('a', 0) FROM users": 'SW-GATE-012',
    },
  },
  {
    what: 'stored functions that may read tables (not declared NO SQL, and naming statements or other functions), without a table beside them too',
    why: 'on each shard they would see its rows alone, and write there',
    statements: {
      'SELECT how_many()': 'SW-GATE-100',
      'SET @a = how_many()': 'SW-GATE-100',
      'SELECT id FROM users WHERE age < how_many()': 'SW-GATE-100',
    },
  },
  {
    what: 'the hint SET_VAR, of a variable that is more than advice to the optimizer',
    why: 'each shard would run its part under it, and nobody the whole',
    on: 'mysql',
    statements: {
      'SELECT /*+ SET_VAR(sql_select_limit = 1) */ id FROM users': 'SW-GATE-100',
    },
  },
  {
    what: 'the third way over tables with FULLTEXT keys or partitions, in statements that name keys or partitions or have MATCH',
    why: 'servers make no temporary table like them; other statements are answered, from tables without those',
    statements: {
      "SELECT COUNT(DISTINCT body) FROM papers WHERE MATCH (body) AGAINST ('x')": 'SW-GATE-100',
      'SELECT COUNT(DISTINCT n) FROM parts PARTITION (p0)': 'SW-GATE-100',
    },
  },
  {
    what: 'the third way with a query of WITH that is named more than once',
    why: 'MySQL opens a temporary table once in a statement: write the query out at each place',
    on: 'mysql',
    statements: {
      'WITH w AS (SELECT age, COUNT(*) AS n FROM users GROUP BY age) SELECT COUNT(*) FROM w a JOIN w b ON a.n = b.n': 'SW-GATE-100',
    },
  },
  {
    what: "a name that differs from one of WITH in case only; in a query of an inner WITH, the name of an outer one's; under RECURSIVE, the name of a query that follows",
    why: 'which of query and table is meant depends on the server: MySQL and MariaDB differ',
    statements: {
      'WITH orders AS (SELECT id FROM users) SELECT COUNT(*) FROM (WITH x AS (SELECT id FROM orders) SELECT id FROM x) y': 'SW-GATE-100',
      'WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT 1 AS id) SELECT COUNT(*) FROM a': 'SW-GATE-100',
    },
  },
  {
    what: '`||` under sql_mode ORACLE',
    why: 'there it binds as + does',
    on: 'mariadb',
    before: ["SET sql_mode = 'ORACLE'"],
    statements: {
      "SELECT id, name || 'x' FROM users": 'SW-GATE-012',
    },
  },
  {
    what: 'everything under sql_mode EMPTY_STRING_IS_NULL',
    why: 'a row would be stored with NULL for the text by which it was routed',
    on: 'mariadb',
    before: ["SET sql_mode = 'EMPTY_STRING_IS_NULL'"],
    statements: {
      "SELECT id FROM users WHERE name = ''": 'SW-GATE-012',
      "INSERT INTO users (id, name) VALUES (80, '')": 'SW-GATE-012',
    },
  },
  {
    what: 'HAVING of groups over several shards with text that is no plain number, or with a binary string',
    why: 'a server would read it as a number by rules of its own',
    statements: {
      "SELECT age, COUNT(*) AS n FROM users GROUP BY age HAVING n > '1x'": 'SW-GATE-100',
    },
  },
  {
    what: 'the third way with SET NAMES or a collation_connection other than utf8mb4, or NO_BACKSLASH_ESCAPES',
    why: 'fetched rows would not be exactly what the shards hold',
    before: ['SET NAMES latin1'],
    statements: {
      'SELECT COUNT(DISTINCT age) FROM users': 'SW-GATE-212',
    },
  },
  {
    what: 'TABLE t and VALUES ROW(…) as queries',
    why: 'the gate does not read them: write SELECT',
    on: 'mysql',
    statements: {
      'TABLE countries': 'SW-GATE-100',
      'VALUES ROW(1, 2), ROW(3, 4)': 'SW-GATE-100',
      'SELECT id FROM users WHERE age IN (TABLE ages)': 'SW-SQL-006',
    },
  },
  {
    what: 'OFFSET … FETCH, LIMIT ROWS EXAMINED, FOR SYSTEM_TIME, VALUES (…) as a query',
    why: 'the gate does not read them: write LIMIT … OFFSET, or SELECT',
    on: 'mariadb',
    statements: {
      'SELECT id FROM users ORDER BY id OFFSET 1 ROW FETCH NEXT 2 ROWS ONLY': 'SW-SQL-006',
      'SELECT id FROM users ORDER BY id LIMIT 2 ROWS EXAMINED 1000': 'SW-SQL-006',
      'SELECT id FROM users LIMIT ROWS EXAMINED 1000': 'SW-SQL-006',
      'SELECT id FROM kept FOR SYSTEM_TIME ALL': 'SW-SQL-006',
      'VALUES (1, 2), (3, 4)': 'SW-GATE-100',
    },
  },
]

export const writing: readonly Refusal[] = [
  {
    what: 'UPDATE and DELETE with WITH',
    why: 'the query is one of the whole table, and each shard would answer it from its rows',
    on: 'mysql',
    statements: {
      'WITH w AS (SELECT MAX(age) AS a FROM users) UPDATE users SET balance = 1 WHERE age IN (SELECT a FROM w)': 'SW-GATE-110',
      'WITH w AS (SELECT MAX(age) AS a FROM users) DELETE FROM users WHERE id > 1000000 AND age IN (SELECT a FROM w)': 'SW-GATE-110',
    },
  },
  {
    what: 'RAND(N) in an UPDATE or DELETE over several shards (a SELECT of it is answered at one place; RAND() and RAND() of a column on each shard)',
    why: 'its numbers come in their order over all rows, and each shard would begin anew',
    statements: {
      'UPDATE users SET age = RAND(3) * 10': 'SW-GATE-100',
      'UPDATE users SET age = RAND(3) * 10 ORDER BY id LIMIT 2': 'SW-GATE-100',
      'DELETE FROM users WHERE RAND(3) < 0.5': 'SW-GATE-100',
    },
  },
  {
    what: 'a shard key that is an expression, or left out without a sequence',
    why: 'which shard it is would be known only when a server has computed it',
    statements: {
      'INSERT INTO users (id, age) VALUES (FLOOR(RAND() * 0) + 900, 1)': 'SW-GATE-122',
      'INSERT INTO numbered (n) VALUES (1)': 'SW-GATE-100',
    },
  },
  {
    what: 'an UPDATE that sets from rows of other shards what it reads again further right',
    why: 'it is made at one place, before anything is changed',
    statements: {
      'UPDATE users SET age = (SELECT COUNT(*) FROM orders), balance = age + 1 WHERE id < 100': 'SW-GATE-100',
    },
  },
  {
    what: 'a prepared write of which some parameters choose the rows, at one place, and others go into what is stored on their shards, where it shows how many digits these are taken to have: computed of parameters alone, in what is divided, as text (`? / ?`, `balance * ? / 3`, `CONCAT(? + 1)`)',
    why: 'MySQL types each parameter by all of the statement: give the value computed, or write CAST(? AS …)',
    on: 'mysql',
    parameters: [5, '0.5'],
    statements: {
      'UPDATE users SET balance = balance * ? / 3 WHERE age IN (SELECT amount FROM orders WHERE amount > ?)': 'SW-GATE-100',
      'UPDATE users SET balance = ABS(?) WHERE age IN (SELECT amount FROM orders WHERE amount > ?)': 'SW-GATE-100',
      'INSERT INTO users (id, balance) SELECT user_id + 5000, amount / 3 * ? / 3 FROM orders ON DUPLICATE KEY UPDATE age = users.age + ?':
        'SW-GATE-100',
    },
  },
  {
    what: 'an UPDATE or DELETE that changes several tables',
    why: 'rows are chosen at one place, of one table',
    statements: {
      'UPDATE users u JOIN orders o ON o.user_id = u.id + 1 SET u.age = 1, o.amount = 2': 'SW-GATE-110',
      'DELETE u, o FROM users u JOIN orders o ON o.user_id = u.id + 1': 'SW-GATE-110',
    },
  },
  {
    what: 'a change of the shard key of a table with triggers, or in an UPDATE of several tables',
    why: 'the rows are deleted where they are and inserted where they belong: other triggers would run',
    statements: {
      'UPDATE watched SET id = 5000 WHERE id = 1': 'SW-GATE-100',
      'UPDATE users u JOIN orders o ON o.user_id = u.id + 1 SET u.id = 700 WHERE o.id = 1': 'SW-GATE-120',
    },
  },
  {
    what: 'in a reference table: UUID(), RAND(), SYSDATE(), variables of the server, a default that is made anew each time, LIMIT without an ORDER BY over a unique key',
    why: 'each copy would get its own',
    statements: {
      "INSERT INTO countries (code, name, made) VALUES (70, UUID(), 'x')": 'SW-GATE-100',
      "INSERT INTO countries (code, name) VALUES (71, 'x')": 'SW-GATE-100',
      'UPDATE countries SET name = @@hostname': 'SW-GATE-100',
      'UPDATE countries SET name = SYSDATE(6)': 'SW-GATE-100',
      'DELETE FROM countries ORDER BY name LIMIT 1': 'SW-GATE-100',
    },
  },
  {
    what: 'what fires a trigger that reads or writes rows of tables, sets a column of the shard key or of a lookup, uses user variables, or asks for what the session knows (USER(), LAST_INSERT_ID() and their like); and CREATE TRIGGER of such a one',
    why: 'it runs on the shard of its row: it sees the rows of that shard alone, and what it changes may belong on another one, or would not be found again',
    statements: {
      'INSERT INTO audited (id, n) VALUES (1, 1)': 'SW-GATE-125',
      'CREATE TRIGGER moves BEFORE INSERT ON papers FOR EACH ROW SET NEW.id = NEW.id + 1': 'SW-GATE-125',
    },
  },
  {
    what: 'UPDATE IGNORE of a unique column of a reference table',
    why: 'of rows that meet, each copy might leave another one as it was',
    statements: {
      'UPDATE IGNORE countries SET code = code + 1': 'SW-GATE-100',
    },
  },
  {
    what: 'writes over several shards to a table of an engine without transactions (MyISAM, Aria, MEMORY)',
    why: 'what was done on one shard could not be taken back when another refuses',
    statements: {
      'INSERT INTO noted VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)': 'SW-GATE-100',
      'UPDATE noted SET n = 2': 'SW-GATE-100',
      'DELETE FROM noted ORDER BY id LIMIT 1': 'SW-GATE-100',
      'REPLACE INTO noted SELECT id, age FROM users': 'SW-GATE-100',
    },
  },
  {
    what: 'LAST_INSERT_ID(value)',
    why: 'it belongs to one server connection',
    statements: {
      'UPDATE users SET age = LAST_INSERT_ID(age + 1) WHERE id = 1': 'SW-GATE-100',
    },
  },
  {
    what: 'DELETE … RETURNING over several shards',
    why: 'rows come from several shards: select them FOR UPDATE, and delete them',
    on: 'mariadb',
    statements: {
      'DELETE FROM users WHERE age = 4711 RETURNING id': 'SW-GATE-100',
    },
  },
  {
    what: 'DO, CREATE TEMPORARY TABLE, and LOAD DATA',
    why: 'they belong to one server, or to one server connection',
    statements: {
      'DO SLEEP(0)': 'SW-GATE-100',
      'CREATE TEMPORARY TABLE aside (id INT)': 'SW-GATE-012',
    },
  },
  {
    what: 'CREATE, ALTER and DROP USER and ROLE, CREATE and DROP DATABASE, SERVER, TABLESPACE and their like',
    why: "accounts are those of the shards' servers, which clients do not use (`shardwright user`), and schemas are made and removed with the shards (`shardwright keyspace`)",
    statements: {
      'CREATE DATABASE aside': 'SW-GATE-100',
      'DROP USER IF EXISTS nobody_at_all': 'SW-GATE-100',
    },
  },
  {
    what: 'CREATE TABLE … SELECT',
    why: 'each shard would fill its table from its own rows',
    statements: {
      'CREATE TABLE made SELECT * FROM users': 'SW-GATE-100',
    },
  },
]
