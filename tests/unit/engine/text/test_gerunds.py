"""The -ing form of tasks: the guide's examples, three hundred verbs, and texts that are no imperatives."""

from __future__ import annotations

import pytest

from engine.text.gerunds import active_form, gerund

REGULAR = """
absorb accept access add address allow append ask assert assign attach attack audit avoid await balance=balancing
benchmark benefit blend block board boost brand budget build burn bypass call cancel cast catch challenge=challenging
check clarify clean clear click collect comment compress conduct configure=configuring connect construct consult
contact convert copy correct count crash credit deduct deploy deposit destroy detect develop direct disconnect discuss
display document download draft dump echo edit elevate=elevating emulate=emulating encrypt end enter establish
examine=examining exhibit exist exit expand export express extend extract fail fetch fidget field filter find finish
fix flatten flow focus follow forward function group grow guess hack harden help highlight hook implement import index
inherit inspect inspire=inspiring install interpret invert join jump keep key kick label launch lay lead learn level
limit link lint list listen load lock look lower maintain mark marshal match mention minify model monitor mount
normalize=normalizing obtain offer open order orient parallelize=parallelizing pass patch pay perform pick pivot play
point poll post power predict present press prevent print proceed process profile=profiling profit protect proxy
publish pull push query rank reach read rebuild record recover redirect refactor refresh register reject relax
release=releasing reload remain render repair reply report request research respond restart restrict result retry
return review reword roll sandbox scaffold search select sell send shift show sign signal simplify sketch sleep soften
solve=solving sort spawn speed spread spy stack start stay stream strengthen study suggest support suspend sweep
switch sync talk target teach tell test thank throw tighten toggle=toggling total track train transform
translate=translating travel treat trigger trust try tunnel turn unblock uninstall unlock unpack upload
validate=validating verify view visit wait walk want warn watch wish work yield
"""
"""Verbs to which -ing is added as it is; after `=` the form of those that lose an e."""

OTHER = """
acquit=acquitting admit=admitting agree=agreeing allot=allotting analyze=analyzing archive=archiving argue=arguing
authorize=authorizing ban=banning be=being begin=beginning bootstrap=bootstrapping cache=caching canoe=canoeing
cap=capping change=changing chop=chopping clap=clapping clip=clipping combine=combining commit=committing
compare=comparing compel=compelling compile=compiling compose=composing confer=conferring control=controlling
create=creating crop=cropping cut=cutting debug=debugging decide=deciding defer=deferring define=defining
delete=deleting diagram=diagramming die=dying diff=diffing dig=digging draw=drawing drop=dropping dub=dubbing
dye=dyeing employ=employing equip=equipping excel=excelling execute=executing expel=expelling eye=eyeing fax=faxing
fit=fitting fix=fixing flag=flagging flip=flipping forget=forgetting format=formatting free=freeing
generate=generating get=getting glue=gluing grab=grabbing grep=grepping guarantee=guaranteeing guide=guiding
handle=handling hit=hitting hop=hopping hug=hugging incur=incurring infer=inferring input=inputting kidnap=kidnapping
knit=knitting let=letting lie=lying log=logging manage=managing map=mapping merge=merging migrate=migrating
mimic=mimicking mop=mopping nod=nodding occur=occurring offset=offsetting omit=omitting optimize=optimizing
output=outputting overlap=overlapping oversee=overseeing panic=panicking permit=permitting picnic=picnicking
pin=pinning pit=pitting plan=planning plot=plotting plug=plugging pop=popping prefer=preferring prep=prepping
program=programming propel=propelling prune=pruning queue=queuing quit=quitting quiz=quizzing recap=recapping
recur=recurring redo=redoing refer=referring remap=remapping remove=removing replan=replanning rerun=rerunning
reset=resetting rev=revving revise=revising rip=ripping rot=rotting route=routing rub=rubbing run=running
scan=scanning scrap=scrapping see=seeing set=setting ship=shipping shop=shopping show=showing shred=shredding
shrug=shrugging shut=shutting singe=singeing sit=sitting skim=skimming skip=skipping slim=slimming slip=slipping
snap=snapping snapshot=snapshotting spec=speccing spin=spinning split=splitting spot=spotting stem=stemming
step=stepping stir=stirring stop=stopping strip=stripping stub=stubbing submit=submitting sum=summing
summarize=summarizing swap=swapping tag=tagging tap=tapping tax=taxing tie=tying tip=tipping traffic=trafficking
transfer=transferring transmit=transmitting trim=trimming typeset=typesetting undo=undoing unmap=unmapping
unplug=unplugging unset=unsetting untie=untying unwrap=unwrapping unzip=unzipping update=updating upset=upsetting
use=using version=versioning vet=vetting whip=whipping win=winning wire=wiring wrap=wrapping write=writing
zigzag=zigzagging zip=zipping
"""


def table() -> list[tuple[str, str]]:
    pairs = [entry.partition("=")[::2] for entry in (REGULAR + OTHER).split()]
    return sorted({(verb, form or verb + "ing") for verb, form in pairs})


def test_the_table_has_three_hundred_verbs() -> None:
    assert len(table()) >= 300


@pytest.mark.parametrize(("verb", "form"), table())
def test_a_verb_has_its_form(verb: str, form: str) -> None:
    assert gerund(verb) == form


@pytest.mark.parametrize("verb", [verb for verb, _ in table()])
def test_a_task_that_begins_with_a_verb_is_an_imperative(verb: str) -> None:
    assert active_form(f"{verb.capitalize()} it") == f"{gerund(verb).capitalize()} it..."


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("Analyze code structure", "Analyzing code structure..."),
        ("Review code quality", "Reviewing code quality..."),
        ("Generate report", "Generating report..."),
        ("Implement backend services", "Implementing backend services..."),
        (
            "Scan for vulnerabilities: SQL injection, XSS, authentication bypass, and exposed secrets",
            "Scanning for vulnerabilities: SQL injection, XSS, authentication bypass, and exposed secrets...",
        ),
        ("Generate a friendly hello world message", "Generating a friendly hello world message..."),
        (
            "Analyze API endpoints, schemas, authentication, and rate limiting",
            "Analyzing API endpoints, schemas, authentication, and rate limiting...",
        ),
        (
            "Review all implementation code, tests, and architecture decisions. Provide actionable feedback.",
            "Reviewing all implementation code, tests, and architecture decisions. Provide actionable feedback...",
        ),
        (
            "Apply schema migrations (ALTER TABLE, CREATE INDEX, etc.)",
            "Applying schema migrations (ALTER TABLE, CREATE INDEX, etc.)...",
        ),
        ("Restore database from backup_id", "Restoring database from backup_id..."),
    ],
)
def test_the_guides_tasks_have_the_guides_forms(task: str, form: str) -> None:
    assert active_form(task) == form


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("Generate and run tests", "Generating and running tests..."),
        ("Summarize & publish results", "Summarizing & publishing results..."),
        ("Review/test the code", "Reviewing/testing the code..."),
        ("Review, refactor and test the code", "Reviewing, refactoring and testing the code..."),
        ("Create or update docs", "Creating or updating docs..."),
        ("Set up and configure CI", "Setting up and configuring CI..."),
        ("Install dependencies and run tests", "Installing dependencies and running tests..."),
        ("Create backup, then validate it", "Creating backup, then validating it..."),
        (
            "Design system architecture, create ADR, and define API contracts",
            "Designing system architecture, creating ADR, and defining API contracts...",
        ),
        ("Analyze tests and report", "Analyzing tests and report..."),
        ("Check code, tests and docs", "Checking code, tests and docs..."),
        ("Verify ability to create and delete items", "Verifying ability to create and delete items..."),
        ("Check that users create and delete items", "Checking that users create and delete items..."),
        ("Run 'build and deploy' twice", "Running 'build and deploy' twice..."),
        ("Lint, validate/check and publish. Then rest", "Linting, validating/checking and publishing. Then rest..."),
    ],
)
def test_verbs_joined_to_the_first_follow_it_and_nouns_stay(task: str, form: str) -> None:
    assert active_form(task) == form


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("Re-run", "Re-running..."),
        ("Set up the environment.", "Setting up the environment..."),
        ("Double-check results", "Double-checking results..."),
        ("Double check results", "Double checking results..."),
        ("Dry run the deployment", "Dry running the deployment..."),
        ("Smoke test", "Smoke testing..."),
        ("Carefully review the code", "Carefully reviewing the code..."),
        ("Ponder options", "Pondering options..."),
        ("Code the parser", "Coding the parser..."),
        ("File a bug", "Filing a bug..."),
        ("run tests", "running tests..."),
        ("Verify", "Verifying..."),
        ("Wait...", "Waiting..."),
        ("Wait…", "Waiting..."),
        ("  Plan the sprint .  ", "Planning the sprint..."),
        ("String values together", "Stringing values together..."),
        ("Feed the cache", "Feeding the cache..."),
        ("Rely on mocks", "Relying on mocks..."),
        ("Process events", "Processing events..."),
    ],
)
def test_other_imperatives(task: str, form: str) -> None:
    assert active_form(task) == form


@pytest.mark.parametrize(
    "task",
    [
        "Analyzing code",
        "Database migration",
        "Validation of inputs",
        "Backend services",
        "API review",
        "E2E tests",
        "42 things",
        "Überprüfe den Code",
        "src/app.py fix",
        "unknown/path",
        "backup_id",
        "README update",
        "OpenAPI docs",
        "End-to-end tests",
        "State-of-the-art review",
        "Code-review it",
        "Fixes bug",
        "Fixed bug",
        "Tests for backend",
        "Do not touch",
        "The tests",
        "Please review",
        "Why does it fail?",
        "RUN TESTS",
        "**Bold** start",
        "Possibly nothing",
        "Early",
        "User stories",
        "A",
        "'quoted' text",
    ],
)
def test_a_text_that_is_no_imperative_keeps_its_words(task: str) -> None:
    assert active_form(task) == task + "..."


@pytest.mark.parametrize(
    "place",
    [
        ".claude/skills/publish/SKILL.md",
        "docs/generate/index.md",
        "$HOME/publish",
        "GET /users/create",
        "input and validate_input",
        "deploy.sh, install.sh and generate.py",
        "--verify and --create",
        "create/update/delete handlers",
    ],
)
def test_verbs_in_paths_names_and_options_stay(place: str) -> None:
    assert active_form(f"Measure {place}") == f"Measuring {place}..."
    assert active_form("Build/publish.sh is stale") == "Build/publish.sh is stale..."


@pytest.mark.parametrize("task", ["", "   ", "...", "."])
def test_no_text_is_work_all_the_same(task: str) -> None:
    assert active_form(task) == "Working..."
