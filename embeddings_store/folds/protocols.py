"""The protocols of the field as a table.

Which rows, which classes, which folds, what validates, and what may stand beside it.

A figure means little without its protocol, and several protocols look alike. To add one, add a row
here; ``PROTOCOLS.md`` is rendered from this table. What could not be verified at its source is not
here; the page names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embeddings_store.errors import UsageError, unknown_name
from embeddings_store.folds.validation_rules import selection_rule_of

ANY = "any"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One row of the table.

    Attributes:
        name: How ``--protocol`` and every result call it; ``:K`` at the end stands for a value that
            the user gives.
        corpora: Corpora that it belongs to; ``any`` for all.
        plan: The fold plan, see :mod:`embeddings_store.folds.rules`; ``{}`` takes the user's value.
        valid: The rule for validation rows, see there.
        label_set: Name in :mod:`embeddings_store.corpus.label_sets`; empty for the corpus' own.
        test_rows: Rows with a class that each fold tests in the whole release; empty where no
            figure was verified.
        files: Format of the files that hold the folds, see
            :mod:`embeddings_store.folds.protocol_files`; empty for a rule.
        tests_as: Protocols that test the same rows of the same classes, fold by fold, and train or
            validate on others.
        note: What a reader must know.
        source: Where it was looked up.
    """

    name: str
    corpora: tuple[str, ...]
    plan: str
    valid: str
    label_set: str
    test_rows: tuple[int, ...]
    note: str
    source: str
    files: str = ""
    tests_as: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The name without the user's value."""
        return self.name.partition(":")[0]

    @property
    def rule(self) -> str:
        """Which rows choose the epoch of a fine-tuning.

        A name of the training's selection rules, empty if it leaves it open.
        """
        return selection_rule_of(self.valid)

    def applies_to(self, corpus: str) -> bool:
        """Say whether it is a protocol of this corpus.

        ``iemocap-all`` is IEMOCAP under another name.
        """
        return any(
            known == ANY or corpus == known or corpus.startswith(f"{known}-")
            for known in self.corpora
        )

    def plan_for(self, value: str) -> str:
        """Return the plan's name with the user's value in it.

        Raises:
            UsageError: A value is needed and not given, or given and not needed.
        """
        if ("{}" in self.plan) != bool(value):
            raise UsageError(
                f"protocol {self.base!r} "
                f"{'takes a value' if '{}' in self.plan else 'takes no value'}: write --protocol "
                f"{self.name}"
            )
        return self.plan.format(value)


_IEMOCAP = ("iemocap", "demo")
_LOSO = "leave-one-session-out"
_SESSIONS = (1085, 1023, 1151, 1031, 1241)
_SPEAKERS = (528, 557, 481, 542, 522, 629, 528, 503, 590, 651)
_OF_SESSION = "leave-one-speaker-of-session-out"
_BY_SESSION = ("iemocap-paper", "iemocap-paper-fixed", "iemocap-superb", "iemocap-emobox")
_PAPER = "arXiv 2402.07327"
_EMOBOX = "EmoBox (arXiv 2406.07162), github.com/emo-box/EmoBox, data/"


def _others(name: str) -> tuple[str, ...]:
    return tuple(other for other in _BY_SESSION if other != name)


TABLE: tuple[Protocol, ...] = (
    Protocol(
        "iemocap-paper",
        _IEMOCAP,
        _LOSO,
        "next",
        "iemocap-4",
        _SESSIONS,
        "five folds by session; the next session validates. The paper does not say what chose its "
        "epochs: this rule is ours",
        f"{_PAPER}, Tables 4 to 7",
        tests_as=_others("iemocap-paper"),
    ),
    Protocol(
        "iemocap-paper-fixed",
        _IEMOCAP,
        _LOSO,
        "none",
        "iemocap-4",
        _SESSIONS,
        "five folds by session; four sessions train for a fixed number of epochs, probably nearest "
        "to the paper's training",
        f"{_PAPER}, Tables 4 to 7",
        tests_as=_others("iemocap-paper-fixed"),
    ),
    Protocol(
        "iemocap-selection",
        _IEMOCAP,
        "session-holdout:Ses05/Ses04",
        "named",
        "iemocap-4",
        (1241,),
        "sessions 1 to 3 train, 4 validates, 5 is tested: the runs that chose the encoders",
        f"{_PAPER}, Tables 1 to 3",
        tests_as=("iemocap-session-5",),
    ),
    Protocol(
        "iemocap-session-5",
        _IEMOCAP,
        "session-holdout:Ses05",
        "none",
        "iemocap-4",
        (1241,),
        "sessions 1 to 4 train, 5 is tested: one fold, so no deviation over folds",
        "common practice",
        tests_as=("iemocap-selection",),
    ),
    Protocol(
        "iemocap-superb",
        _IEMOCAP,
        "files",
        "files",
        "iemocap-4",
        _SESSIONS,
        "five folds by session; a fifth of the other rows, drawn at random over rows, validates "
        "and so shares speakers and dialogues with training. The draw follows the order of s3prl's "
        "own files: --protocol-files META_DATA (Session1 to Session5)",
        "SUPERB (arXiv 2105.01051), s3prl/downstream/emotion: expert.py, valid_ratio 0.2, torch "
        "seed 0",
        "s3prl",
        _others("iemocap-superb"),
    ),
    Protocol(
        "iemocap-emobox",
        _IEMOCAP,
        _LOSO,
        "none",
        "iemocap-4",
        _SESSIONS,
        "fold k tests session k, all else trains: EmoBox's files are made by this rule (its test "
        "files and the size of a training file were compared). They name no validation rows; its "
        "recipe draws them at random from training",
        f"{_EMOBOX}iemocap",
        tests_as=_others("iemocap-emobox"),
    ),
    Protocol(
        "iemocap-speakers",
        _IEMOCAP,
        _OF_SESSION,
        "next",
        "iemocap-4",
        _SPEAKERS,
        "ten folds by speaker; the partner plays no role, since both speak in every dialogue; the "
        "next session validates",
        "common practice",
        tests_as=("iemocap-speakers-partner",),
    ),
    Protocol(
        "iemocap-speakers-partner",
        _IEMOCAP,
        _OF_SESSION,
        "partner",
        "iemocap-4",
        _SPEAKERS,
        "ten folds by speaker; the partner validates, in the very dialogues that are tested: what "
        "is chosen there fits test",
        "common practice",
        tests_as=("iemocap-speakers",),
    ),
    Protocol(
        "iemocap-improvised",
        _IEMOCAP,
        _LOSO,
        "next",
        "iemocap-4-no-exc-improvised",
        (),
        "five folds by session, improvised dialogues only, so that no line of a script is in "
        "training and test",
        "common practice",
    ),
    Protocol(
        "meld-official",
        ("meld",),
        "split",
        "split",
        "meld-7",
        (2610,),
        "the three official tables; it is a series, so speakers are in all three",
        "Poria et al. 2019, github.com/declare-lab/MELD",
    ),
    Protocol(
        "mosi-official",
        ("mosi",),
        "split",
        "split",
        "",
        (),
        "the split that comes with the rows; releases differ in it, so look at the digest",
        "Zadeh et al. 2016",
    ),
    Protocol(
        "avamerg-official",
        ("avamerg",),
        "split",
        "split",
        "",
        (),
        "the official files; profiles (voices and faces) are in several of them",
        "AvaMERG, official release",
    ),
    Protocol(
        "ravdess-actors-6",
        ("ravdess",),
        "speaker-kfold:6",
        "next",
        "ravdess-speech",
        (240,) * 6,
        "six folds of four neighbouring actors. EmoBox's six folds hold other actors: see emobox",
        "common practice",
    ),
    Protocol(
        "cremad-actors-5",
        ("cremad", "crema-d"),
        "speaker-kfold:5",
        "next",
        "",
        (),
        "five folds of neighbouring actors of the 91. EmoBox tests one fold of its own: see emobox",
        "common practice",
    ),
    Protocol(
        "emodb-speakers",
        ("emodb",),
        "leave-one-speaker-out",
        "next",
        "emodb-7",
        (),
        "ten folds by speaker. EmoBox has five folds of its own: see emobox",
        "common practice",
    ),
    Protocol(
        "emobox",
        (ANY,),
        "files",
        "files",
        "",
        (),
        "folds of EmoBox for any of its corpora, read from its jsonl files: --protocol-files "
        "EmoBox/data/CORPUS. Where it has no validation file, nothing validates",
        f"{_EMOBOX}CORPUS/fold_K",
        "emobox",
    ),
    Protocol(
        "cross-corpus:CORPUS",
        (ANY,),
        "corpus-holdout:{}",
        "fifth",
        "common-4",
        (),
        "of a joined corpus (embeddings-store join): this corpus is tested, the others train, a "
        "fifth of their groups validates",
        "common practice",
    ),
    Protocol(
        "group-stratified-kfold:K",
        (ANY,),
        "group-stratified-kfold:{}",
        "next",
        "",
        (),
        "for anything else: K folds with groups whole and classes as even as can be, drawn with a "
        "seed (K@SEED)",
        "scikit-learn, StratifiedGroupKFold",
    ),
    Protocol(
        "connected-kfold:K",
        (ANY,),
        "connected-kfold:{}",
        "next",
        "",
        (),
        "for dialogues without sessions: K folds that keep whole whatever hangs together through a "
        "speaker or a group, so that neither a person nor a dialogue is in two roles",
        "this project",
    ),
)
PROTOCOLS: Mapping[str, Protocol] = {row.base: row for row in TABLE}


def find_protocol(name: str, corpus: str) -> tuple[Protocol, str]:
    """Return the row of a protocol and the value that the user gave behind the colon.

    >>> row, value = find_protocol("group-stratified-kfold:5", "mine")
    >>> row.plan_for(value)
    'group-stratified-kfold:5'

    Raises:
        UnknownNameError: There is no such protocol.
        UsageError: It belongs to another corpus.
    """
    base, _, value = name.partition(":")
    mine = [row.name for row in TABLE if row.applies_to(corpus)]
    if base not in PROTOCOLS:
        unknown_name("protocol", name, mine)
    row = PROTOCOLS[base]
    if not row.applies_to(corpus):
        raise UsageError(
            f"protocol {name!r} belongs to {', '.join(row.corpora)}, not to corpus {corpus!r}; it "
            f"has {', '.join(mine)}"
        )
    return row, value
