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
- *stops for the target*: SW-MOVE-029 (a target lacks a column) or SW-MOVE-030 (a target has another key). Made there, the stream goes on by \`reshard start\`.
- The way on from a stop: \`reshard update --on-ddl exec\`, or make the change on the targets and \`reshard update --on-ddl ignore\`, or \`cancel\`.
- Rows written before the statement are read by the definition of their time, also by a mover that starts after it: the definitions are stored with the positions.
- DDL on tables that no stream moves passes. A statement that the gate is asked to run on a moved table is refused there beforehand.
- \`exec\` announces its statement on the target, so that the reverse stream takes it for ours, and executes it once: met again after a crash, or brought by the stream of another
  source, it is told by its place in the stream and by what the table looked like before (\`CHANGE a b\` does not fail the second time, \`CHANGE a b, CHANGE b a\` does not swap back).
- Two statements on one table before the stream has come to the first: rows between them are defined by neither what was nor what is. Before it goes on from a statement the stream
  looks through the binlog ahead. With \`exec\` the rows are read by the definition that the target has then; with \`ignore\` (or between MariaDB and MySQL) the stream stops:
  SW-MOVE-033, naming both (\`src/move/ddl-twice.db.test.ts\`).
`
}
