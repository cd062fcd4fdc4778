/**
 * The few lines of `sh` between a worker and a member. Pure: this file only writes the text.
 *
 * The text goes to `sh -s` through its standard input, so that neither the command nor a secret stands in anybody's arguments or on
 * disk, and as one function that is called in the last line, so that a text cut short by our death does nothing at all. Then:
 *
 * 1. It stops when its call's deadline has passed, so a start that was frozen for an hour cannot surprise anybody.
 * 2. The process that is to become the member writes its record (pid, start time, host incarnation, ports) to a file of its own and
 *    links that to `epoch-N`. A link is made by one only, like a file by O_EXCL, but appears with its contents: there is no
 *    moment at which the fence stands and nobody knows who runs. Who does not get the link ends before it has done anything.
 * 3. It becomes the command, in a session and process group of its own, its output in the log.
 * 4. The shell outside waits (in the foreground: what a shell puts into the background without job control ignores SIGINT), kills what is left of the member's group, and writes the exit code, one line by one write.
 */

export interface ShimWords {
  /** The node's state folder, and the folder of exits; absolute. */
  readonly folder: string;
  readonly exitFile: string;
  readonly epoch: number;
  /** Names this start among all others. */
  readonly token: string;
  /** Seconds of /proc/uptime after which it must not start any more. */
  readonly latestUptime: number;
  readonly incarnation: string;
  /** `http=34567,admin=34568`, or `-`. */
  readonly ports: string;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** Absolute: the member's own PATH must not decide which are run. */
  readonly tools: { readonly env: string; readonly setsid: string };
}

/** Variables that shells put into the environment of whom they start. */
const shellVariables = ["PWD", "OLDPWD", "SHLVL", "_"] as const;

export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

export function shimText(words: ShimWords): string {
  const { environment, tools } = words;
  const exports = Object.entries(environment).map(([name, value]) => `    export ${name}=${quote(value)}`);
  const unset = shellVariables.filter((name) => !Object.hasOwn(environment, name)).map((name) => `-u ${name}`);
  const command = words.command.map(quote).join(" ");
  return `muster() {
  read -r uptime rest < /proc/uptime || return
  [ "\${uptime%%.*}" -le ${Math.floor(words.latestUptime)} ] || return
  mask=$(umask)
  umask 077
  cd ${quote(words.folder)} || return
  (
    exec < /dev/null >> log-${words.epoch} 2>&1
    read -r stat < /proc/self/stat || exit
    set -- $stat
    echo "muster1 $1 \${22} ${words.incarnation} ${words.token} ${words.ports}" > claim-${words.token} || exit
    ln claim-${words.token} epoch-${words.epoch} 2> /dev/null
    lost=$?
    rm -f claim-${words.token}
    [ "$lost" -eq 0 ] || exit
    umask "$mask"
    cd ${quote(words.cwd)} || exit 126
${exports.join("\n")}
    exec ${quote(tools.env)} ${unset.join(" ")} ${quote(tools.setsid)} -- ${command}
  )
  code=$?
  read -r format pid start incarnation token ports < epoch-${words.epoch} || return
  [ "$token" = ${words.token} ] || return
  kill -s KILL -- "-$pid" 2> /dev/null
  echo "$code" > ${quote(words.exitFile)}
}
muster
`;
}
