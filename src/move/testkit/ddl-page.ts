/** docs/ddl.md, printed from the cells that ddl.db.test.ts runs. */
import { ddlCells, modes, outcomeOf, phases } from './ddl-cells.ts'

export function ddlPage(): string {
  const columns = phases.flatMap((phase) => modes.map((mode) => ({ phase, mode })))
  const rows = ddlCells.map(
    (cell) => `| ${cell.name} | ${columns.map(({ phase, mode }) => outcomeOf(cell, phase, mode)).join(' | ')} | ${cell.why ?? ''} |`,
  )
  return `# DDL on moved tables

What a statement on a moved table does to a stream, while it copies and while it follows, by \`--on-ddl\`. Each cell is a test (\`src/move/ddl.db.test.ts\`, all of them on
both servers by \`SHARDWRIGHT_DDL_ALL=1 npm test -- move/ddl\`); this page is printed from its table by \`scripts/generate-ddl.mjs\`.

| statement | ${columns.map(({ phase, mode }) => `${phase}, ${mode}`).join(' | ')} | why |
|---|${columns.map(() => '---').join('|')}|---|
${rows.join('\n')}

- *goes on*: everything before the statement is applied, chunks in flight are read again, the stream begins again with the new definition. With \`exec\` the stream makes the
  change on its targets (names qualified by the source's schema are rewritten; a statement that names another schema stops it); with \`ignore\` somebody has made it there.
- *stops*: SW-MOVE-002 with the statement and its place in the binlog. Everything before it is applied, nothing behind it.
- *stops for the target*: SW-MOVE-029 (a target lacks a column), SW-MOVE-030 (a target has another key), SW-MOVE-037 (a target's column takes what the source has for something
  else: another type, character set, collation or order of members; a generated column in a unique key that is made of something else) or SW-MOVE-038 (a target has a unique key that the source lacks: make one on the source first, drop one on the targets first). Made there, the stream goes on by \`reshard start\`. The same is looked at of every table that stands on a target when a workflow begins.
- Rows that come or go without events stop a stream in every mode: EXCHANGE PARTITION, IMPORT and DISCARD TABLESPACE, CONVERT, CREATE OR REPLACE TABLE, ALTER IGNORE. DROP and TRUNCATE PARTITION do as TRUNCATE does.
- \`exec\` runs a statement in the session that it had on the source (time zone, clock, sql_mode, explicit_defaults_for_timestamp, character sets, checks). What each server would make up by itself (AUTO_INCREMENT or SERIAL over rows that
  are there, UUID(), RAND()) stops it, and so does a text in another character set than UTF-8.
- What \`create\` refuses does not come in by DDL either, in any mode: ON DELETE or ON UPDATE with CASCADE, SET NULL or SET DEFAULT where a server of the stream, target or source, does not log the
  rows that a cascade changes (MariaDB; MySQL before 9.6, or with innodb_native_foreign_keys); an engine other than InnoDB; ADD SYSTEM VERSIONING; a key WITHOUT OVERLAPS. The tables of both sides are looked at again after the
  statement, whenever a stream begins (SW-MOVE-039, also for what was done by hand or unlogged), and before each switch (SW-SWITCH-052). No event tells what a cascade has changed by then: \`cancel\` is the way on.
  Where a server logs them (MySQL from 9.6), it does not for connections that were reset (COM_RESET_CONNECTION, COM_CHANGE_USER): a row of theirs by which others may have changed stops the stream (SW-MOVE-045).
- Where several sources fill a target, \`exec\` makes what leaves every column as it is: new columns and keys. All else stops: one stream comes to the statement while the others still write rows of before it. So does a column that the clock fills (DEFAULT CURRENT_TIMESTAMP, NOW() and
  the like; TIMESTAMP with neither NULL nor a DEFAULT): each source made its statement, and filled its rows, at a time of its own. What was filled so is in no event: on
  targets altered by hand (\`ignore\`) only a vdiff with \`--repair\` brings it. Added NULL, without such a default, the column is made.
- MariaDB's \`binlog_alter_two_phase\`: the ALTER counts where it is logged as committed; one that was rolled back passes.
- A vdiff that is under way compares a table that was altered from its beginning, by what it is then, and waits for targets that still make the change (\`src/verify/altered.db.test.ts\`). One that had ended says nothing of columns that came later.
- The way on from a stop: \`reshard update --on-ddl exec\`, or make the change on the targets and \`reshard update --on-ddl ignore\`, or \`cancel\`.
- A table that a prepared XA transaction has written is altered by no server before that has its outcome, whatever became of its session (\`src/move/xa-ddl.db.test.ts\`): its rows, kept from PREPARE, are of the definition that is in force at its COMMIT.
- Rows written before the statement are read by the definition of their time, also by a mover that starts after it: the definitions are stored with the positions.
- DDL on tables that no stream moves passes. A statement that the gate is asked to run on a moved table is refused there beforehand where its stream would stop (SW-GATE-039).
- \`exec\` announces its statement on the target, so that the reverse stream takes it for ours, and executes it once: met again after a crash, or brought by the stream of another
  source, it is told by its place in the stream and by what the table looked like before (\`CHANGE a b\` does not fail the second time, \`CHANGE a b, CHANGE b a\` does not swap back). One that
  the server still executes when its mover has died is waited for. What a target refuses stops the stream (SW-MOVE-028), "there already" and "not there" too: they say nothing of a statement's other parts.
- While copying, \`exec\` builds, before a statement, those of the table's keys that wait for the end of the copy and that the statement is about: those that it names, and where it adds a key without a name those whose names such a key's name depends on.
  A statement that changes columns, or asks for a key without naming one (a foreign key), is about all, a foreign key also about those of the table that it refers to; rows that it refers to may be still to come, and are looked at when the copy is done. What is built so the rest of the copy has in place; the others go on waiting. In a merge two rows may hold one value of a unique key that waits.
  A statement that is about other keys goes on without it, and one that drops it too. One that is about it (RENAME INDEX, ALTER INDEX, a foreign key, a key without a name that the server names by the same column), and one that adds a unique key which meets two rows, waits until the rows have come apart, and is refused when the other streams have had ten minutes to write (the
  time for which keys are built does not count), since it may be this stream that gives its row up, behind the statement.
- A statement between the making of the targets' tables and the place where the stream begins is in no binlog that it reads. When it begins, tables that are as they were made, and empty, are brought to what the
  source has by then, in every mode (\`src/move/start-ddl.db.test.ts\`); one that somebody has altered, or that holds rows, is looked at as it is.
- Two statements on one table before the stream has come to the first: rows between them are defined by neither what was nor what is. Before it goes on from a statement the stream
  looks through the binlog ahead. With \`exec\` the rows are read by what the statement made of the target, also where the stream of another source executed it (noted there; the sources of a merge have to make them in one order); with \`ignore\` (or between MariaDB and MySQL) the stream stops:
  SW-MOVE-033, naming both (\`src/move/ddl-twice.db.test.ts\`).
`
}
