/**
 * `character_set_results = binary` (also by SET NAMES binary): servers send text as it is and say of all of it that it is bytes. What is compared here must be known for what it is, so shards are asked
 * without a character set of results, which gives the same bytes, and columns are told to the client as a server would have. Pure.
 */
import { collation, columnType } from '../wire/column-types.ts'
import type { Column } from '../mysql/connection.ts'
import { bytesOfCharacters } from './charsets.ts'
import { planErrors } from './plan/errors.ts'

/** As servers describe it: a character is a byte then. (Of TEXT the length is in the shortest characters, of all else in the longest.) Errors: SW-GATE-100. */
export function toldAsBytes(column: Column): Column {
  const { type, charset, length } = column
  if (charset === collation.binary || type < columnType.tinyBlob || type > columnType.string) return column
  const bytes = bytesOfCharacters(charset)
  if (bytes === null)
    throw planErrors.refused({
      construct: `column ${column.name} of the collation ${charset} under the character set of results binary`,
      reason: 'how a server tells of it is not known here',
      instead: 'SET character_set_results = utf8mb4',
    })
  const isLong = type >= columnType.tinyBlob && type <= columnType.blob
  return { ...column, charset: collation.binary, length: Math.floor(length / (isLong ? bytes.min : bytes.max)) }
}
