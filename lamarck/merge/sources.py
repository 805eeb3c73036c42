"""What a merge file is made from, for whoever watches it: its documents, and where each model lies. Light."""

from dataclasses import dataclass
from pathlib import Path

from lamarck import strict_yaml
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.merge.document import MergeFile


@dataclass(frozen=True)
class Sources:
    """`models`: name -> directory, in the order of the file."""

    file: Path
    documents: tuple[Path, ...]
    models: dict[str, Path]


def sources_of(file: Path) -> Sources:
    """Of a merge file that says where its models lie.

    Errors: LamarckError where it is not valid, or something that it names is missing.
    """
    content = strict_yaml.load(file)
    if not (isinstance(content, dict) and "documents" in content):
        raise LamarckError(f"{file} is not a merge file: name the YAML files of the merge under `documents`")
    said = check_section(content, MergeFile, str(file))
    if not said.models:
        raise LamarckError(f"{file} does not say where its models lie: name each one's directory under `models`")
    sources = Sources(
        file,
        tuple(file.parent / name for name in said.documents),
        {name: file.parent / directory for name, directory in said.models.items()},
    )
    for path in sources.documents:
        if not path.is_file():
            raise LamarckError(f"{path}, a document of {file}, does not exist: correct `documents`")
    for name, path in sources.models.items():
        if not path.is_dir():
            raise LamarckError(f"{path}, where {file} says that {name} lies, is not a directory: correct `models`")
    return sources
