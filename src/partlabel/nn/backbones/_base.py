"""What a backbone source is: a model name in, a trunk with its preprocessing out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.types import Preprocessing
from partlabel.nn.joint_space import TextNetwork


@dataclass(frozen=True)
class Joint:
    """The other half of an image-text model, whose trunk gives features in the space of its texts.

    Attributes:
        encode: Function from sentences to their vectors, without normalisation.
        text_model: The text encoder; on its weights the vectors depend.
        scale: Inverse temperature: the factor of a cosine in a logit.
        bias: Offset of the logits of a model that was trained with a sigmoid; None for a softmax.
        network: Function that returns the text encoder with gradients, for prompts that are learned.
    """

    encode: Callable[[Sequence[str]], Float[Tensor, "text dim"]]
    text_model: nn.Module
    scale: float
    bias: float | None
    network: Callable[[], TextNetwork]


@dataclass(frozen=True)
class Trunk:
    """A network up to its features.

    Attributes:
        model: A module with `forward_features(images)`: a map `NCHW` or `NHWC`, or tokens `NLC`.
        preprocessing: Normalisation of the images that the model expects.
        last_stage: Function that returns the names of the parameters of the model's last stage and of all later
            modules; an empty set where that is not known.
        width: Number of channels of the features.
        layout: `NHWC` where a map of four axes has its channels last; None to determine it from `width`.
        prefix_tokens: Tokens before those of the places, the class token first.
        whole: The model that files of weights are of, where the trunk is a part of it; None if it is the trunk itself.
        fitted: Function from the tensors of a file to those of the model, such as positions for another image size.
        joint: Function that returns the text half of an image-text model, after its weights are loaded; None without.
    """

    model: nn.Module
    preprocessing: Preprocessing
    last_stage: Callable[[nn.Module], set[str]]
    width: int
    layout: Literal["NCHW", "NHWC"] | None = None
    prefix_tokens: int = 0
    whole: nn.Module | None = None
    fitted: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    joint: Callable[[], Joint] | None = None


class BackboneSource(ABC):
    """A library of models; one file in this folder is one source, and `--backbone <its name>:<model>` exists."""

    @abstractmethod
    def trunk(self, name: str, pretrained: bool | Literal["auto"], image_size: int) -> Trunk:
        """Build a model.

        Args:
            name: Model name, as the library has it.
            pretrained: `auto` loads weights of an installed package where there is one, else downloads them; True
                downloads; False draws random weights.
            image_size: Side of the images in pixels, for models that need it.

        Raises:
            ValueError: There is no such model.
            OSError: Its weights cannot be downloaded; the message says what to do.
        """

    def side(self, name: str) -> int:
        """Return the side in pixels of the images that a model was trained on; 224 where the source does not say it.

        Raises:
            ValueError: There is no such model.
        """
        return 224
