/** COM_STMT_EXECUTE with parameters of any type, as a client may send them; and the rows of its answer. */
import type { RowStream } from '../../mysql/connection.ts'
import { columnType } from '../../wire/column-types.ts'
import { writeTextAsBinary } from '../../wire/binary-values.ts'
import { com } from '../../wire/commands.ts'
import { frame } from '../../wire/frames.ts'
import { Writer } from '../../wire/writer.ts'

/** A parameter as a client may send it; null: NULL. */
export type Param = { readonly type: number; readonly unsigned?: true; readonly text: string | null }

export function execution(id: number, params: readonly Param[]): Buffer {
  const w = new Writer()
  w.u8(com.stmtExecute).u32(id).u8(0).u32(1)
  if (params.length === 0) return frame(w.take())
  const bitmapAt = w.length
  w.zeros((params.length + 7) >> 3).u8(1)
  for (const [i, { type, unsigned, text }] of params.entries()) {
    if (text === null) w.orAt(bitmapAt + (i >> 3), 1 << (i & 7))
    w.u8(type).u8(unsigned === true ? 0x80 : 0)
  }
  for (const { type, text } of params)
    if (text !== null) writeTextAsBinary(w, { type, flags: 0, decimals: 6, length: 0 }, Buffer.from(text))
  return frame(w.take())
}

export const integer = (value: number): Param => ({ type: columnType.longlong, text: String(value) })
export const double = (value: number): Param => ({ type: columnType.double, text: String(value) })
export const text = (value: string): Param => ({ type: columnType.varString, text: value })

/** A row a text. */
export async function textsOf(stream: RowStream): Promise<string[]> {
  const rows: string[] = []
  for await (const batch of stream) for (let i = 0; i < batch.length; i++) rows.push(batch.row(i).map(String).join('/'))
  return rows
}
