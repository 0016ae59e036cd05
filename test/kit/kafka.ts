/** A real Kafka for tests, when Java and Maven are there; else what is missing, for a test's `skip`. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalKafka, readKafkaInstall, type KafkaInstall, type KafkaOptions } from '../../src/local/local-kafka.ts'

export type KafkaForTests =
  | { readonly install: KafkaInstall; readonly missing: null }
  | { readonly install: null; readonly missing: string }

export async function kafkaForTests(): Promise<KafkaForTests> {
  const script = new URL('../../scripts/unpack-kafka.mjs', import.meta.url).href
  const { provideKafka } = (await import(script)) as { provideKafka: () => { file: string | null; problem: string | null } }
  const { file, problem } = provideKafka()
  return file === null ? { install: null, missing: problem ?? 'unknown' } : { install: readKafkaInstall(file), missing: null }
}

export function startKafka(install: KafkaInstall, options: Partial<KafkaOptions> = {}): Promise<LocalKafka> {
  return LocalKafka.start({ install, dir: mkdtempSync(join(tmpdir(), 'sw-kafka-')), ...options })
}
