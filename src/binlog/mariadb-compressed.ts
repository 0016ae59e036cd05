import type { Buffer } from 'node:buffer'
import { inflateExactly } from './mariadb-types.ts'
import { BadValue } from './row-sink.ts'

/**
 * MariaDB's log_bin_compress (`binlog_buf_compress`): header 0x80 | algorithm << 4 | length bytes, plain length big-endian, zlib stream.
 * Rows events compress what follows the bitmaps, query events the statement.
 */
export function unpackMariadb(packed: Buffer): Buffer {
  const header = packed[0] ?? 0
  const lengthBytes = header & 7
  if ((header & 0xf0) !== 0x80 || lengthBytes < 1 || lengthBytes > 4 || packed.length < 1 + lengthBytes) {
    throw new BadValue(`a compressed event with header ${header}`)
  }
  return inflateExactly(packed.subarray(1 + lengthBytes), packed.readUIntBE(1, lengthBytes), false)
}
