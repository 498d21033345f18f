# Records of scenarios in, figures out. Times in records are microseconds; here everything is milliseconds.

def median: sort | length as $n | if $n == 0 then null elif $n % 2 == 1 then .[($n - 1) / 2] else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
def to($digits): if . == null then null else pow(10; $digits) as $p | . * $p | round / $p end;
def per_ms: . / 1000 | to(1);

# 2026-11-22T03:00:00.123456789Z
def moment:
  capture("^(?<whole>[^.Z]+)(\\.(?<rest>[0-9]+))?Z$")
  | ((.whole + "Z") | fromdate) * 1000000 + (((.rest // "0") + "000000")[0:6] | tonumber);

def spread($unit):
  map(select(. != null))
  | {median: median, min: min, max: max, all: .}
  | . + {text: (if .median == null then "not measured" else "\(.median | to(1)) \($unit) [\(.min | to(1))–\(.max | to(1))]" end)};

# Only the highest of many looks says anything.
def peak($unit): spread($unit) | .all = [] | if .max == null then . else .text = "\(.max | to(1)) \($unit)" end;

def gap_began: .first_acknowledgement + .verdict.write_gap.from;
def gap_ended: gap_began + .verdict.write_gap.length;
def step($event; $name): [.calls[].events[] | select(.event == $event and .step == $name)] | last;
def took($pattern): [.steps[] | select(.step | test($pattern)) | .ended - .began] | add;

def holds($met): if $met == null then "not measured" elif $met then "kept" else "MISSED" end;
def nears($met): if $met == null then "" elif $met then "reached" else "not yet" end;

($plays[0] | map(. + (.file | split(".") | {pair: .[0], side: .[1], run: .[2]}))) as $all
| def of($pair; $side): $all | map(select(.pair == $pair and .side == $side and .verdict != null));
  def gaps($pair; $side): of($pair; $side) | map(.verdict.write_gap.length | per_ms) | spread("ms");

  # A ratio of medians decides; milliseconds are another machine's on another machine.
  def gap($pair; $name; $must; $aim):
    gaps($pair; "switchover") as $ours | gaps($pair; "restart") as $peer
    | ([$ours.median, $peer.median] | if any(. == null) then null else (.[0] / .[1] | to(2)) end) as $ratio
    | {name: $name, ours: $ours, peer: ($peer + {what: "stop V1, start V2 on the same volume"}), ratio: $ratio,
       must: "≤ \($must) ×", met: holds($ratio | if . == null then null else . <= $must end),
       aim: "≤ \($aim) ms", reached: nears($ours.median | if . == null then null else . <= $aim end)};

  def below($name; $ours; $limit; $unit):
    {name: $name, ours: $ours, must: "≤ \($limit) \($unit)", met: holds($ours.max | if . == null then null else . <= $limit end)};

  def seed:
    (of("seed"; "switchover") | map(.calls[0] | (.ended - .began) / 1000000) | spread("s")) as $ours
    | (of("seed"; "basebackup") | map(took("pg_basebackup -D") / 1000000) | spread("s")) as $peer
    | ([$ours.median, $peer.median] | if any(. == null) then null else .[0] <= .[1] * 1.5 + 15 end) as $met
    | {name: "whole run, 2 GB", ours: $ours, peer: ($peer + {what: "bare pg_basebackup"}),
       ratio: (if $met == null then null else ($ours.median / $peer.median | to(2)) end), must: "≤ 1.5 × + 15 s", met: holds($met)};

  # Milliseconds decide here: what is promised, the peer is far from.
  def upgraded($seed): gaps("upgrade"; $seed) as $ours
    | below("write gap of an upgrade, seed \($seed)"; $ours; 300; "ms")
    + {met: holds($ours.median | if . == null then null else . <= 300 end),
       peer: (gaps("upgrade"; "link") + {what: "pg_upgrade --link in place"})};

  def seeded($seed; $peer):
    {name: "seed \($seed) of an upgrade", ours: (of("upgrade"; $seed) | map(step("step-done"; "seed") | if . == null then null else .ms / 1000 end) | spread("s")), peer: $peer};
  def by_pgcopydb: of("upgrade"; "pgcopydb") | map(took("pgcopydb clone") / 1000000) | spread("s") + {what: "pgcopydb clone"};

  # From the cap to the first acknowledgement by V1; negative where the tool gave up before.
  def turned_back: of("cap"; "switchover") | map((gap_ended - (step("step-begun"; "hold").at | moment)) / 1000 - $cap | to(1)) | spread("ms");

  # No client's own longest time without an acknowledgement; a crossing must not leave one behind.
  def hang($pair): of($pair; "switchover") | map(.verdict.stall.length | per_ms) | spread("ms");
  def hanging($pair; $name): hang($pair) as $ours
    | {name: $name, ours: $ours, aim: "≤ 1000 ms", reached: nears($ours.max | if . == null then null else . <= 1000 end)};

  # From the fence to V2's promotion, by the tool's own clock.
  def shut($pair): of($pair; "switchover") | map([step("step-done"; "fence", "drain", "promote").ms] | add) | spread("ms");
  def shutting($pair; $name): shut($pair) as $ours
    | {name: $name, ours: $ours, must: "≤ 80 ms", met: holds($ours.median | if . == null then null else . <= 80 end)};

  def wanted($pair): any($all[]; .pair == $pair);
  {
    machine: $machine[0][0],
    figures: [
      (select(wanted("alias")) | gap("alias"; "write gap by alias"; 0.25; 150), hanging("alias"; "longest stall by alias")),
      (select(wanted("port")) | gap("port"; "write gap by port"; 0.4; 200), hanging("port"; "longest stall by port")),
      (select(wanted("mysql")) | gap("mysql"; "write gap of MySQL by alias"; 0.25; 150), shutting("mysql"; "fence, drain, promote of MySQL")),
      (select(wanted("mariadb")) | gap("mariadb"; "write gap of MariaDB by alias"; 0.25; 150), shutting("mariadb"; "fence, drain, promote of MariaDB")),
      (select(wanted("cap")) | below("V1 writable after the cap"; turned_back; 1000; "ms")),
      (select(wanted("seed")) | seed,
        below("peak memory of the tool"; [$memory[0][] | select(.guard | not) | .kB / 1000] | peak("MB"); 40; "MB"),
        below("peak memory of its guard"; [$memory[0][] | select(.guard) | .kB / 1000] | peak("MB"); 40; "MB")),
      (select(wanted("upgrade")) | upgraded("copy"), upgraded("volume"), seeded("copy"; by_pgcopydb), seeded("volume"; null)),
      ($tool[0][] | .figures[] | .unit as $unit | below(.name; .values | spread($unit); .must; $unit))
    ],
    clients: ($all | group_by([.pair, .side]) | map({
      pair: .[0].pair, side: .[0].side, runs: length,
      acknowledged: (map(.verdict.acknowledged // {} | add // 0) | add),
      lost: (map(.verdict.lost | length) | add), doubled: (map(.verdict.doubled | length) | add),
      stale: (map(.verdict.stale | length) | add), differing: (map(.verdict.differing | length) | add),
      refused: (map(.verdict.refused) | add), middle: (map(.verdict.middle) | add), unknown: (map(.verdict.unknown) | add),
      stall: "\(map(.verdict.stall.length // 0 | per_ms) | max) ms"})),
    steps: [$all | map(select(.calls != [] and .verdict != null)) | group_by(.pair)[]
      | [.[] | gap_began as $zero | .pair as $pair | .calls[0].events as $events
          | $events[] | select(.event == "step-done") | .step as $step
          | {$pair, $step, took: .ms, began: (([$events[] | select(.event == "step-begun" and .step == $step)] | last | .at | moment) - $zero | . / 1000)}]
      # In the order of the story, not of the alphabet.
      | group_by(.step) | map({pair: .[0].pair, step: .[0].step, began: (map(.began) | median | to(1)), took: (map(.took) | median),
          range: "[\(map(.took) | min)–\(map(.took) | max)]"}) | sort_by(.began)[]],
    # Lost, doubled, stale and whatever else a scenario expects: a record that did not pass breaks the promise.
    failures: [$all[] | select(.passed | not) | "\(.pair), \(.side), run \(.run): \(.complaints | join("; "))"]
  }
