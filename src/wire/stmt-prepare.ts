/**
 * Answer to COM_STMT_PREPARE: 1 0x00 · 4 statement id · 2 columns · 2 parameters · 1 0 · 2 warnings; then, where there are any,
 * parameter definitions · [EOF] · column definitions · [EOF] (no EOF under deprecateEof).
 */
import { writeColumnDefinition, type ColumnDefinition } from './column-definition.ts'
import { collation, columnType } from './column-types.ts'
import { writeEof } from './eof.ts'
import type { Writer } from './writer.ts'

export type PrepareOk = { id: number; columns: readonly ColumnDefinition[]; paramCount: number; warnings: number; status: number }

const parameter: ColumnDefinition = {
  schema: '',
  table: '',
  orgTable: '',
  name: '?',
  orgName: '',
  charset: collation.binary,
  length: 0,
  type: columnType.varString,
  flags: 0x80,
  decimals: 0,
}

/** All frames of the answer; returns the next sequence id. */
export function writePrepareOk(w: Writer, answer: PrepareOk, sequence: number, deprecateEof: boolean): number {
  w.beginFrame().u8(0).u32(answer.id).u16(answer.columns.length).u16(answer.paramCount).u8(0).u16(answer.warnings)
  sequence = w.endFrame(sequence)
  const eof = (): void => {
    if (deprecateEof) return
    writeEof(w.beginFrame(), answer)
    sequence = w.endFrame(sequence)
  }
  for (let i = 0; i < answer.paramCount; i++) {
    writeColumnDefinition(w.beginFrame(), parameter)
    sequence = w.endFrame(sequence)
  }
  if (answer.paramCount > 0) eof()
  for (const column of answer.columns) {
    writeColumnDefinition(w.beginFrame(), column)
    sequence = w.endFrame(sequence)
  }
  if (answer.columns.length > 0) eof()
  return sequence
}
