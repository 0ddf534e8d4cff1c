from .corpora import corpus_names as corpus_names
from .corpora import read_corpus as read_corpus
from .corpora.generated import make_release as make_release
from .encoders import load_encoder as load_encoder
from .encoders.registry import REGISTRY as REGISTRY
from .encoders.registry import EncoderSpec as EncoderSpec
from .encoders.registry import resolve as resolve
