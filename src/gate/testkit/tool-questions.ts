/**
 * What tools ask information_schema, by their own texts: `DB` stands for the database's name. Each is answered alike by one server of its own, so none asks for what differs between two
 * servers (times, estimates, ids).
 */
export type Question = {
  readonly sql: string
  /** Only this family has what it asks for. */
  readonly only?: 'mariadb' | 'mysql'
  readonly params?: readonly string[]
}

export const questions: readonly Question[] = [
  // Drivers' and tools' lists of databases.
  {
    sql: "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys', 'test') ORDER BY 1",
  },
  {
    sql: 'SELECT SCHEMA_NAME from Information_schema.SCHEMATA where SCHEMA_NAME LIKE ? ORDER BY SCHEMA_NAME=? DESC,SCHEMA_NAME limit 1',
    params: ['DB%', 'DB'],
  },
  { sql: "SELECT * FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'DB'" },
  { sql: "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'DB' LIMIT 1" },
  {
    sql: "select schema_name as name, schema_name = schema() as `default` from information_schema.schemata where schema_name not in ('information_schema', 'mysql', 'ndbinfo', 'performance_schema', 'sys', 'test') order by schema_name",
  },
  {
    sql: "SELECT `SCHEMA_NAME` FROM `INFORMATION_SCHEMA`.`SCHEMATA`, (SELECT DB_first_level FROM ( SELECT DISTINCT SUBSTRING_INDEX(SCHEMA_NAME, '_', 1) DB_first_level FROM INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME IN ('shop', 'renamed', 'wide') ) t ORDER BY DB_first_level ASC LIMIT 0, 100) t2 WHERE TRUE AND 1 = LOCATE(CONCAT(DB_first_level, '_'), CONCAT(SCHEMA_NAME, '_')) ORDER BY SCHEMA_NAME ASC",
  },
  // Tables.
  {
    sql: "SELECT TABLE_NAME, TABLE_SCHEMA FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = 'DB' ORDER BY TABLE_NAME",
  },
  {
    sql: 'SELECT table_schema, table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name',
  },
  {
    sql: "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name='children' AND table_type='BASE TABLE'",
  },
  {
    sql: 'select * from information_schema.tables where table_name = ? and table_schema = database() and table_rows is null',
    params: ['elders'],
  },
  {
    sql: "SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS, NULL AS TYPE_CAT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = ? HAVING TABLE_TYPE IN (?,?,?,?,?) ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME",
    params: ['DB', 'TABLE', 'VIEW', 'SYSTEM TABLE', 'SYSTEM VIEW', 'LOCAL TEMPORARY'],
  },
  {
    sql: "SELECT DISTINCT BINARY table_info.table_name AS table_name, table_info.create_options AS create_options, table_info.table_comment AS table_comment FROM information_schema.tables AS table_info JOIN information_schema.columns AS column_info ON BINARY column_info.table_name = BINARY table_info.table_name WHERE table_info.table_schema = ? AND column_info.table_schema = ? AND table_info.table_type = 'BASE TABLE' ORDER BY BINARY table_info.table_name",
    params: ['DB', 'DB'],
  },
  {
    sql: "SELECT t.`TABLE_SCHEMA` AS `Db`, `TABLE_NAME` AS `Name`, `ENGINE` AS `Type` FROM `information_schema`.`TABLES` t WHERE `TABLE_SCHEMA` COLLATE utf8mb3_bin IN ('DB') ORDER BY Name ASC",
  },
  { sql: "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'DB'" },
  {
    sql: "SELECT TABLE_SCHEMA, COUNT(*) FROM information_schema.TABLES WHERE CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) LIKE 'DB.%' GROUP BY TABLE_SCHEMA",
  },
  { sql: "SELECT COUNT(*) > 0, MIN(TABLE_SCHEMA) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema'" },
  // Columns.
  {
    sql: "select * from information_schema.columns where table_schema = 'DB' and table_name != '__drizzle_migrations' order by table_name, ordinal_position",
  },
  {
    sql: 'SELECT column_name, data_type, collation_name, column_key, extra FROM information_schema.columns WHERE table_name = ? AND table_schema = DATABASE() ORDER BY ordinal_position',
    params: ['children'],
  },
  {
    sql: "SELECT information_schema.columns.table_schema, information_schema.columns.table_name, information_schema.columns.column_name FROM information_schema.columns WHERE information_schema.columns.table_schema = 'DB' AND information_schema.columns.table_name IN ('children', 'shop') ORDER BY 2, 3",
  },
  {
    sql: "select table_schema, table_name, column_name from information_schema.columns where (table_schema, table_name, lower(column_name)) in (('DB', 'children', 'parent_id'), ('DB', 'shop', 'id')) order by 2",
  },
  // Keys.
  {
    sql: "SELECT CONSTRAINT_NAME as constraint_name, CONSTRAINT_NAME as constraintName, CONSTRAINT_SCHEMA as constraintSchema, CONSTRAINT_SCHEMA as constraintCatalog, TABLE_NAME as tableName, TABLE_SCHEMA as tableSchema, TABLE_SCHEMA as tableCatalog, COLUMN_NAME as columnName, REFERENCED_TABLE_SCHEMA as referencedTableSchema, REFERENCED_TABLE_SCHEMA as referencedTableCatalog, REFERENCED_TABLE_NAME as referencedTableName, REFERENCED_COLUMN_NAME as referencedColumnName FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE where TABLE_NAME = 'children' AND CONSTRAINT_NAME!='PRIMARY' AND CONSTRAINT_SCHEMA='DB' AND REFERENCED_TABLE_NAME IS NOT NULL",
  },
  {
    sql: "SELECT kc.constraint_name, kc.column_name, kc.referenced_table_name, kc.referenced_column_name, c.constraint_type FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c WHERE kc.table_schema = DATABASE() AND (kc.referenced_table_schema = DATABASE() OR kc.referenced_table_schema IS NULL) AND c.table_schema = kc.table_schema AND c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'children' AND c.table_name = 'children' ORDER BY kc.constraint_name, kc.ordinal_position",
  },
  {
    sql: "SELECT fk.referenced_table_name AS 'to_table', fk.referenced_column_name AS 'primary_key', fk.column_name AS 'column', fk.constraint_name AS 'name', fk.ordinal_position AS 'position', rc.update_rule AS 'on_update', rc.delete_rule AS 'on_delete' FROM information_schema.referential_constraints rc JOIN information_schema.key_column_usage fk USING (constraint_schema, constraint_name) WHERE fk.referenced_column_name IS NOT NULL AND fk.table_schema = database() AND fk.table_name = 'children' AND rc.constraint_schema = database() AND rc.table_name = 'children'",
  },
  {
    sql: "SELECT `kcu`.`TABLE_SCHEMA`, `kcu`.`TABLE_NAME`, `kcu`.`CONSTRAINT_NAME`, `rc`.`UNIQUE_CONSTRAINT_SCHEMA`, `rc`.`DELETE_RULE` FROM ( SELECT * FROM `INFORMATION_SCHEMA`.`KEY_COLUMN_USAGE` `kcu` WHERE `kcu`.`TABLE_SCHEMA` = 'DB' AND `kcu`.`TABLE_NAME` = 'children' ) `kcu` INNER JOIN ( SELECT * FROM `INFORMATION_SCHEMA`.`REFERENTIAL_CONSTRAINTS` WHERE `CONSTRAINT_SCHEMA` = 'DB' AND `TABLE_NAME` = 'children' ) `rc` ON `rc`.`CONSTRAINT_SCHEMA` = `kcu`.`CONSTRAINT_SCHEMA` AND `rc`.`TABLE_NAME` = `kcu`.`TABLE_NAME` AND `rc`.`CONSTRAINT_NAME` = `kcu`.`CONSTRAINT_NAME`",
  },
  {
    sql: "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_SCHEMA, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'DB' ORDER BY 2, 4, 5",
  },
  { sql: "SELECT * FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'DB' ORDER BY TABLE_NAME, CONSTRAINT_NAME" },
  { sql: "SELECT CONSTRAINT_SCHEMA, CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'DB'" },
  // Views, routines, triggers, partitions.
  { sql: "select * from INFORMATION_SCHEMA.VIEWS WHERE table_schema = 'DB'" },
  {
    sql: "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'DB' ORDER BY 2",
  },
  {
    sql: "SELECT SPECIFIC_SCHEMA, SPECIFIC_NAME, PARAMETER_NAME, DATA_TYPE FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = 'DB' ORDER BY 2, ORDINAL_POSITION",
  },
  {
    sql: "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = 'DB'",
  },
  { sql: "SELECT TABLE_SCHEMA, TABLE_NAME, PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA IN ('DB') ORDER BY 2" },
  {
    sql: "SELECT VIEW_SCHEMA, VIEW_NAME, TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEW_TABLE_USAGE WHERE VIEW_SCHEMA = 'DB'",
    only: 'mysql',
  },
  {
    sql: "SELECT COLUMN_NAME FROM information_schema.COLUMN_STATISTICS WHERE SCHEMA_NAME = 'DB' AND TABLE_NAME = 'children'",
    only: 'mysql',
  },
  // Without schemas.
  { sql: "SELECT COLLATION_NAME FROM information_schema.COLLATIONS WHERE COLLATION_NAME = 'utf8mb4_bin' AND DATABASE() = 'DB'" },
  // SHOW.
  { sql: 'SHOW FULL TABLES FROM `DB`' },
  { sql: "SHOW FULL TABLES FROM `DB` WHERE Table_type <> 'VIEW'" },
  { sql: "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'" },
  { sql: "SHOW TABLES LIKE 'e%'" },
  { sql: "SHOW TABLES FROM DB LIKE 'e%'" },
  { sql: 'SHOW FULL COLUMNS FROM `children` FROM `DB`' },
  { sql: 'SHOW FULL COLUMNS FROM `DB`.`children`' },
  { sql: 'SHOW KEYS FROM `children` FROM `DB`' },
  { sql: 'SHOW INDEX FROM DB.elders' },
  { sql: 'SHOW CREATE TABLE `DB`.`children`' },
  { sql: 'SHOW CREATE TABLE children' },
  { sql: 'SHOW CREATE VIEW grown' },
  { sql: 'SHOW CREATE VIEW DB.grown' },
  { sql: 'SHOW CREATE DATABASE `DB`' },
  { sql: 'SHOW CREATE DATABASE IF NOT EXISTS `DB`' },
  { sql: 'SHOW CREATE SCHEMA DB' },
  { sql: 'SHOW CREATE FUNCTION DB.twice' },
  { sql: 'SHOW CREATE FUNCTION twice' },
  { sql: "SHOW FUNCTION STATUS WHERE Db = 'DB' AND Name = 'no'" },
  { sql: "SHOW PROCEDURE STATUS WHERE Db = 'DB'" },
  { sql: "SHOW TRIGGERS FROM `DB` LIKE 'no'" },
  { sql: "SHOW TRIGGERS LIKE 'no'" },
  { sql: 'SHOW EVENTS FROM DB' },
  { sql: 'SHOW EVENTS' },
  { sql: "SHOW DATABASES LIKE 'DB'" },
  { sql: 'DESCRIBE DB.children' },
  { sql: 'SHOW COLUMNS FROM information_schema.TABLES' },
  { sql: "SHOW TABLES FROM information_schema LIKE 'TABLES'" },
  { sql: 'DESCRIBE information_schema.SCHEMATA' },
]
