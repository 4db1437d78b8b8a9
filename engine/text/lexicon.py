"""The word lists of `gerunds.py`.

Pure: data only. Words that follow a rule are not listed.
"""

from __future__ import annotations

import re
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IRREGULAR: Final = {
    "age": "aging",
    "binge": "bingeing",
    "bus": "busing",
    "exec": "execing",
    "quiz": "quizzing",
    "singe": "singeing",
    "spec": "speccing",
    "tinge": "tingeing",
    "be": "being",
}
"""Forms that follow no rule."""

DOUBLED: Final = _words("""
    abet abhor abut acquit admit allot annul begin bootstrap commit compel concur confer control defer demit deter
    diagram dispel distil emit enrol equip excel expel forbid forget format handicap impel incur infer kidnap
    leapfrog microchip occur omit patrol permit photoset prefer program propel rebel rebut recur refer reformat
    regret remit repel reprogram resubmit snapshot submit transfer transmit unformat zigzag
""")
"""Verbs of more than one syllable that double their last letter."""

DOUBLED_ROOTS: Final = _words("""
    bar bet bid bug cap chat clip crop cut dig dub fit flag flip get grab grep hit hop jam lap let lid log map mod
    net pad pin plan plot plug pop prep put rig rip run scan set ship shop shot sit skip slip slot snap spin split
    spot stem step stop strap strip stub sum swap tag tap tip top trap trim trip unwrap vet win wrap zip
""")
"""Verbs of one syllable that double their last letter after a prefix too: rerun, unzip, input, backlog."""

PREFIXES: Final = _words("""
    auto back co cross de dis double down dry fast fine force hot in inter kick mis multi off out over pre re self
    side snap spot sub trans type un under up work
""")
"""Prefixes of verbs, with or without a hyphen."""

COMPOUNDS: Final = frozenset(
    re.split(
        r"\s*,\s*",
        "beta test, cherry pick, code review, cross check, double check, dry run, fact check, fast forward, fine tune,"
        "fuzz test, hot fix, load balance, pair program, peer review, pen test, penetration test, sanity check,"
        "smoke test, spell check, spot check, stress test, type check, unit test",
    )
)
"""Verbs of two words; the second one is inflected."""

PARTICLES: Final = _words("up out down off in on back away over through")
"""Particles between a verb and the "and" after it: "set up and run"."""

SUBORDINATORS: Final = _words("""
    after as because before but can could how if may might must once should since so that until what when where
    whether which while who whose why will would
""")
"""Words behind which an "and" may join something else than the first verb."""

DETERMINERS: Final = _words("""
    a all an any both each every existing it its our the their them these this those your
""")
"""Words that stand behind an imperative and not behind a noun."""

FUNCTION_WORDS: Final = _words("""
    a about above across after against all also although an and another any are as at bad based because been before
    below best better between beyond both broken but by can cannot common complex could custom deep did do does
    during each either entire every fast few final finally first for from full given good great had has hence here
    high how i if in initial into is it its just last least legacy less low main major many may maybe might minor
    more most much multiple must my nearly neither never new next no none nor not now of off old on once one only
    onto optionally or other our out over per please possibly quick raw rich safe second several shall she should
    simple since single slow smart so some strict such than that the their then there these they third this those
    three through thus to two under unless until upon us various via was we were what when where whether which who
    whole whose why will with within without would yes you your zero
""")
"""Words that begin no imperative; "do" is among them for "do not"."""

NOUNS: Final = _words("""
    acceptance account agenda agent algorithm api app application architecture area artifact asset async author
    backend background backlog backup bandwidth base baseline basis batch behavior binary blob board body boundary
    branch browser bucket budget bug business button byte candidate case catalog cause certificate chain chapter
    chart chat checklist checkout checkpoint checksum child chunk ci circuit class cleanup cli client cloud cluster
    code codebase cohort column command community company complexity component config consensus console constraint
    container content context contract core corpus cost coverage credential credit cron crud crypto css culture
    cursor customer cycle daemon dashboard data database dataset date deadline debt default defect demo department
    desktop device devops dialog dictionary disk docker docs domain duplicate ecosystem edge effect effort email
    employee end endpoint engine enterprise entity enum environment epic epoch event evidence example exception
    executive expert fact failure fallback feature feedback field file firewall firmware fixture flow folder font
    footer framework frontend frontmatter function future gap gateway git github glossary goal graph grid group
    guide half hardware header health heap hero hint history home hotfix hour html http hub human icon id idea image
    impact incident individual infra infrastructure injection input instance integer intent interface internet
    interval issue item iteration java job journey json kernel keyword knowledge kubernetes lambda landscape
    language latency layer lead legend library license lifecycle line linter linux locale localhost logic login
    lookup loop machine macro mailbox manifest margin markdown matrix media meeting memory menu message metadata
    method metric microservice middleware milestone minute mobile module money month name namespace network news
    night node noise number oauth object objective office onboarding ops option organization orm outage output
    overhead overview owner pagination pair panel paper paragraph parameter parent part participant password path
    pattern payload peer people percent performance person persona phase pipeline pixel platform plugin pod point
    policy pool population portal portfolio potential practice precision preference premise presence price principle
    privacy problem procedure product production progress project property proposal prose protocol provenance proxy
    public python quality quantity quarter queue quota race radius random range ratio react readme reality reason
    recipe redis regex region regression relationship replica repo repository requirement resource response rest
    result retrospective revenue risk roadmap robot role rollback rollout root row runbook runtime rust sanity
    scenario schema science screen sdk season secret section sector security segment semantics sentence sentiment
    server service session setup shell shutdown signature signup site size skeleton skill sla slide snippet soft
    software solution source spec spreadsheet sprint sql stack staff staging stakeholder standard standup startup
    state statement static statistic status storage story strategy stream string structure subagent subject subset
    subsystem success suite summary surface syntax system table task team technique technology telemetry template
    tenant terminal terraform text theme theory thread threat threshold throughput ticket time timeline timeout
    timestamp title token tool toolchain topic topology trade traffic transaction tree trend trial truth tutorial
    type typescript ui unit university url usability usage use-case user utility ux value variable variance vector
    vendor verdict version video virtual vision visual voice volume vulnerability warehouse web webhook webpack
    website week widget window wireframe word workflow workload workshop workspace world xml yaml year zone
""")
"""Nouns and adjectives that tasks start with and that no ending identifies."""

NOUN_ENDINGS: Final = (
    *("tion", "sion", "ness", "ment", "ance", "ence", "ism", "ist", "ity", "ency", "ancy", "ship", "hood"),
    *("able", "ible", "ful", "ous", "ic", "al", "er", "or", "logy", "graphy", "ium", "eum", "ette", "ware", "dom"),
    *("less", "ant", "ent", "ive", "cy", "dy", "gy", "hy", "my", "ny", "ry", "ty"),
)
"""Endings of nouns and adjectives; the verbs among them are in `VERBS_LIKE_NOUNS`."""

VERBS_LIKE_NOUNS: Final = _words("""
    abhor accent access accompany address administer advance alias allowlist ally alter anchor answer appeal apply
    apportion archive arrive assent assess assist auction augment balance barter batter bed better bias bicker
    blacklist bless blunder bolster boost border bother bring broker buckler buffer bully bury bus bypass cable
    canter canvas carry cater caution cement censor cent center certify chant charter checklist cheer cipher
    circumvent cling clutter color commandeer commence comment commission complement compliment comply compress
    conceal conceive condition confer confess conquer consent consider consist content contrive copy counter cover
    cower cross cry cushion dance deal debias deceive decipher declutter decommission decompress decrement dedent
    defer deliver dent deny denylist deprive deprovision deregister derive desist deter dial die differ digress
    dirty disable discover discuss dishonor dismiss dissent dive doctor document dress drive dry embed embody
    empower empty enable encounter engineer enhance enlist enter envision envy equal err evidence exist experience
    experiment express factor falter fashion favor fence ferment filter finance flatter flicker fling flounder
    flutter fly focus foment forgive foster fragment frolic fry function further gas gather gender give glance grant
    guarantee guess hammer hamper harness heal hinder hoist holler honor hover hunger hurry implant imply impress
    increment indent infer influence insist instrument invent jabber justify kiss labor ladder lament lance launder
    lent less levy lie linger list litter live loiter lower lumber marry marshal master matter meander mention
    mentor mimic mirror misapply miss monitor multiply muster mutter nonplus number obsess occupy offer order orient
    outlive pamper panic parent parody partition partner pass patent pedal peer pepper perceive perjure persist
    pester petition picnic pilfer ping pioneer pity plant plaster plunder ply ponder position possess power prefer
    prefilter preoccupy preorder preprocess present press prevent process profess progress prosper provision pry
    query question rally readdress ready rebalance recant receive recenter recolor recondition reconsider recopy
    recover redeliver rediscover reenable reengineer reenter refactor refer reference refocus regather register
    regress reimplement reinvent relive rely remedy remember render rent renumber reorder reorient repartition
    repeal reply reposition repower represent repress reprocess requery requisition reregister rerender resent
    resequence resist resupply retrigger retry reveal revive ring rival saunter scatter scent seal segment sequence
    sever shatter shed shelter ship shoulder shower shred shudder signal silence simmer sing slander slant slaughter
    sled sling smother sneer solder splinter sponsor spring sputter squander stagger stammer steady steal sting
    stress string strive study stutter subtotal suffer supplement supply suppress surrender survive swagger swing
    table tailor tally tamper taper temper tether thrive thunder tidy tie tinker torment toss total totter transfer
    transgress transition transplant transship trespass trigger try twist twitter unalias unarchive uncover undress
    unmarshal unregister unseal untie usher utter vary veer vent vie volunteer wander want warrant water weather wed
    whisper whitelist wing witness wonder worry worship wring
""")
"""Verbs that end like a noun or like another form."""

CLEAR_VERBS: Final = _words("""
    add adjust aggregate analyze apply ascertain assess assign attach authenticate authorize automate calculate
    capture categorize choose clarify classify collect combine compare compile complete compose compute configure
    confirm connect consolidate construct convert create customize debug decide decompose deduplicate define delete
    deliver demonstrate deploy deprecate derive describe detect determine develop diagnose disable discover
    distribute eliminate emit enable encrypt enforce enhance enrich ensure establish estimate evaluate examine
    execute expand explain explore extract fetch finalize find fix generate identify implement improve incorporate
    ingest initialize inject inspect install instantiate integrate introduce investigate isolate locate maintain
    manage migrate minimize modify normalize notify obtain optimize organize parse perform persist populate prepare
    prevent prioritize produce propose provide provision publish reapply recommend reconcile redesign reduce
    refactor refine regenerate remove rename render reorganize replace reproduce rerun resolve restore restructure
    retrieve return revise rewrite run sanitize save select send separate serialize simplify simulate solve specify
    standardize submit suggest summarize synthesize terminate transform translate troubleshoot unify uninstall
    update upload validate verify visualize write
""")
"""Words that are only verbs: an "and" before one joins it to the verb at the start."""

COMMON_VERBS: Final = _words("""
    analyse annotate append approve archive ask assemble audit back backfill balance benchmark bind block boost boot
    break bring build bump bundle cache call cancel catch change check clean clear clone close commit communicate
    condense consider containerize copy correct cover cut deactivate decommission design detail diff dispatch
    display document download draft drop dump edit embed encode escalate evict exercise export expose fail fill
    filter flag flush follow format formulate freeze gather get give go group grow guide handle harden help
    highlight hold host hunt import include index infer inform inline instrument interpret invoke join judge keep
    kill launch lay learn lift link lint list load lock log look lower make map mark mask match measure merge mirror
    mock model monitor mount move narrow negotiate note observe offer onboard open order outline package patch pause
    pick pin ping pipe place plan play plot poll port present preview print probe process profile program promote
    prompt proofread protect prototype prove prune pull purge push put query quit raise rank rate read rebase
    rebuild recheck record recover redact redeploy refresh reject relax release reload repair repeat rephrase reply
    report represent request require research reset reshape resize respond restart resume retest retry reuse revert
    review revoke rework roll rotate round route sample scaffold scale scan schedule scope score scrape script scrub
    search secure seed set shape share ship show shrink shut sign skip slice sort spawn split squash stage start
    stop store stress study support survey swap switch sync tag take target teach tell test tidy trace track train
    triage trigger trim try tune turn undo upgrade use vet view visit walk warm warn watch weigh wire work wrap
""")
"""Verbs that are nouns or adjectives too: they count at the start, and right after an "and" there."""
