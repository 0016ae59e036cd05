/** What an OK packet (with its header) says, read in place: the hot path of writes. */
export type OkSays = { readonly affectedRows: bigint; readonly insertId: bigint; readonly info: string }

/** Null: it is no OK. */
export function readOkFrame(frame: Buffer): OkSays | null {
  if (frame[4] !== 0x00) return null
  const affected = lenenc(frame, 5)
  const insertId = lenenc(frame, affected.next)
  // Behind status and warnings; its length comes first.
  const at = insertId.next + 5
  return { affectedRows: affected.value, insertId: insertId.value, info: at < frame.length ? frame.toString('utf8', at) : '' }
}

function lenenc(data: Buffer, at: number): { value: bigint; next: number } {
  const first = data[at] as number
  if (first < 0xfb) return { value: BigInt(first), next: at + 1 }
  if (first === 0xfc) return { value: BigInt(data.readUInt16LE(at + 1)), next: at + 3 }
  if (first === 0xfd) return { value: BigInt(data.readUIntLE(at + 1, 3)), next: at + 4 }
  return { value: data.readBigUInt64LE(at + 1), next: at + 9 }
}
