/** What sessions of a sharded keyspace are refused, and some of them everywhere: of the same pages and tests as `sql-refused.cases.ts`. */
import type { Refusal } from './sql-refused.cases.ts'

export const sessions: readonly Refusal[] = [
  {
    what: 'SET GLOBAL; SET insert_id; SET completion_type, SET sql_auto_is_null = 1 (these two in every keyspace)',
    why: 'they belong to one server, or to one server connection',
    statements: {
      'SET GLOBAL max_connections = 100': 'SW-GATE-012',
      'SET insert_id = 5': 'SW-GATE-012',
      'SET completion_type = 1': 'SW-GATE-012',
      'SET sql_auto_is_null = 1': 'SW-GATE-012',
    },
  },
  {
    what: 'SET profiling = 1, SET optimizer_trace, SHOW PROFILES and SHOW PROFILE, and `PROFILING` and `OPTIMIZER_TRACE` of information_schema (in every keyspace)',
    why: 'a server keeps the history of a connection, in which there would be statements of others',
    statements: {
      'SHOW PROFILES': 'SW-GATE-012',
      'SET profiling = 1': 'SW-GATE-012',
      "SET optimizer_trace = 'enabled=on'": 'SW-GATE-012',
      'SELECT * FROM information_schema.OPTIMIZER_TRACE': 'SW-GATE-012',
    },
  },
  {
    what: 'EXPLAIN FOR CONNECTION, SHOW EXPLAIN FOR, `threads` and `processlist` of performance_schema, `session` and `processlist` of sys, and information_schema.PROCESSLIST in SET and in what is prepared (in every keyspace)',
    why: "they name sessions by a server's numbers; information_schema.PROCESSLIST has the gate's, as SHOW PROCESSLIST",
    statements: {
      'SELECT * FROM performance_schema.threads': 'SW-GATE-012',
    },
  },
  {
    what: 'SET ROLE and other SETs that the gate does not read',
    why: 'it would be in force on one shard',
    statements: {
      'SET ROLE NONE': 'SW-SQL-006',
      'SET GLOBAL hot_cache.key_buffer_size = 1048576': 'SW-GATE-012',
    },
  },
  {
    what: "SET PASSWORD, ALTER USER, DROP USER, GRANT, REVOKE and SET DEFAULT ROLE for the session's own account on the server, or `sw_gate`, `sw_admin`, `sw_mover` by name (in every keyspace)",
    why: 'every client of the gate is sw_gate there, which could connect no more; clients have accounts of the gate (`shardwright user`)',
    statements: {
      "ALTER USER sw_gate@'%' IDENTIFIED BY 'gate-secret'": 'SW-GATE-012',
      "GRANT PROCESS ON *.* TO sw_gate@'%'": 'SW-GATE-012',
    },
  },
  {
    what: '@@last_gtid (in every keyspace); LASTVAL(s) and PREVIOUS VALUE FOR s but on the connection on which the session drew from s, which it keeps within a transaction',
    why: 'servers keep them for a connection, and sessions share connections',
    on: 'mariadb',
    statements: {
      'SELECT @@last_gtid': 'SW-GATE-012',
      'SET @a = @@session.last_gtid': 'SW-GATE-012',
    },
  },
  {
    what: 'XA (in every keyspace)',
    why: 'a prepared transaction of a client outlives its connection and would keep every switch waiting; `transaction_mode: xa` makes the gate do it',
    statements: {
      "XA START 'a'": 'SW-GATE-012',
    },
  },
  {
    what: 'LOCK TABLES, CALL, HANDLER, FLUSH, PREPARE by text and other statements about one server',
    why: 'they belong to one server connection; in unsharded keyspaces they are answered',
    statements: {
      'LOCK TABLES users READ': 'SW-GATE-100',
      'HANDLER users OPEN': 'SW-GATE-100',
      'FLUSH TABLES users': 'SW-GATE-100',
      "PREPARE s FROM 'SELECT 1'": 'SW-GATE-012',
    },
  },
  {
    what: 'executable comments `/*! … */` over sharded tables, unless they hold hints only',
    why: "whether they run depends on the server's version",
    statements: {
      'SELECT id FROM users /*!50000 WHERE id > 3 */': 'SW-GATE-132',
    },
  },
  {
    what: 'two user variables whose names differ in accents or spaces at the end only',
    why: 'to MySQL they are one',
    before: ['SET @`é` = 1'],
    statements: {
      'SET @`e` = 2': 'SW-GATE-100',
    },
  },
]
