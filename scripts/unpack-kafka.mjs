// A real Apache Kafka in .servers/kafka for tests, torture and the demonstration with --kafka: Maven resolves the broker's
// run-time class path; nothing is installed on the machine. Needs Java 17 or newer and Maven, and says so when they are
// missing. The second call only compares a stamp. Runs on any Node ≥ 18 and needs no package.
//
//   node scripts/unpack-kafka.mjs
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const projectDir = dirname(dirname(fileURLToPath(import.meta.url)))
/** The newest whose jars can all be had. */
const kafkaVersion = '4.3.1'
/** Its log goes to stderr by this one; it must be of slf4j-api's own line. */
const slf4jVersion = '1.7.36'
const copyPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'

/** Where it is, or what is missing; never throws. @returns {{ file: string, problem: null } | { file: null, problem: string }} */
export function provideKafka(say = () => {}) {
  try {
    return { file: provide(say), problem: null }
  } catch (error) {
    return { file: null, problem: error.message }
  }
}

function provide(say) {
  const dir = join(projectDir, '.servers', 'kafka')
  const file = join(dir, 'kafka.json')
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
  if (isWhole(file)) return file
  const probe = spawnSync(java, ['-version'], { encoding: 'utf8' })
  const major = Number(/version "(\d+)/.exec(probe.stderr ?? '')?.[1] ?? 0)
  if (probe.error) throw new Error('Kafka needs Java 17 or newer, and there is no java (Debian: openjdk-17-jre-headless)')
  if (major < 17) throw new Error(`Kafka needs Java 17 or newer; found ${major || 'an unknown version'}`)
  if (spawnSync('mvn', ['--version'], { encoding: 'utf8' }).error)
    throw new Error('Maven is needed to get Kafka, and there is no mvn (Debian: maven)')
  const started = Date.now()
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const lib = join(dir, 'lib')
  writeFileSync(join(dir, 'pom.xml'), pom())
  const args = ['-B', '-q', `${copyPlugin}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${lib}`]
  const run = spawnSync('mvn', args, { cwd: dir, encoding: 'utf8', timeout: 300_000 })
  if (run.status !== 0 || !existsSync(join(lib, `kafka_2.13-${kafkaVersion}.jar`))) {
    const said = (run.stdout + run.stderr).split('\n').find((line) => line.includes('ERROR')) ?? String(run.error?.message ?? run.status)
    throw new Error(`Maven could not copy Kafka ${kafkaVersion}: ${said}`)
  }
  const jars = readdirSync(lib).length
  writeFileSync(file, `${JSON.stringify({ v: 1, version: kafkaVersion, lib, java, jars }, null, 2)}\n`)
  say(`kafka ${kafkaVersion} unpacked: ${dir} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  return file
}

function isWhole(file) {
  try {
    const { version, lib, jars } = JSON.parse(readFileSync(file, 'utf8'))
    return version === kafkaVersion && lib.startsWith(projectDir) && readdirSync(lib).length === jars
  } catch {
    return false
  }
}

function pom() {
  const dependency = (group, artifact, version) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', kafkaVersion)}
    ${dependency('org.slf4j', 'slf4j-simple', slf4jVersion)}
  </dependencies>
</project>
`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { file, problem } = provideKafka((text) => console.error(`setup: ${text}`))
  if (problem !== null) {
    console.error(`set-up of Kafka cannot go on: ${problem}`)
    process.exit(1)
  }
  console.log(file)
}
