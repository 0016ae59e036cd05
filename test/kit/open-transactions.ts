/** Whether transactions are open on a server. */
import assert from 'node:assert/strict'
import { systemClock } from '../../src/base/clock.ts'

type Asked = { value(sql: string): Promise<string | null | undefined> }

/**
 * None is, within ten seconds. Asked seldom: the server shows this table as it was when it was last read, unless nobody has read it for 100 ms, so
 * whoever asks more often sees for ever what he saw first (*tried*, on MariaDB and MySQL).
 */
export async function noOpenTransactions(on: Asked, message = 'transactions are left open'): Promise<void> {
  for (let look = 0; look < 60; look++) {
    if ((await on.value('SELECT COUNT(*) FROM information_schema.innodb_trx')) === '0') return
    await systemClock.sleep(160)
  }
  assert.fail(message)
}
