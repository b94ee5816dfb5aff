"""What the editor at the other end can do, read once from `initialize`; whatever is unknown or broken in it counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]


def look_up(value: object, *path: str) -> Any:
    """Follow *path* into nested JSON objects; None where it ends early."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


@dataclass(frozen=True, slots=True)
class Client:
    """The abilities of an editor that something here depends on."""

    name: str
    encoding: Encoding
    roots: tuple[str, ...]  # URIs of the workspace folders
    apply_edit: bool
    change_annotations: bool
    create_files: bool
    configuration: bool
    register_configuration: bool
    progress: bool
    show_document: bool
    text_document_content: bool
    action_literals: bool
    disabled_actions: bool
    action_tags: bool
    markdown_hover: bool
    extension: bool
    stream: bool
    preview: bool
    status: bool

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Client:
        """Read the params of `initialize`, as they came from the wire."""
        able = look_up(params, "capabilities")
        ours = look_up(able, "experimental", "glossator")
        version = look_up(ours, "version")
        extension = isinstance(ours, Mapping) and (version is None or (isinstance(version, int) and version >= 1))
        name = look_up(params, "clientInfo", "name")
        return cls(
            name=name if isinstance(name, str) else "",
            encoding=choose_encoding(look_up(able, "general", "positionEncodings")),
            roots=_roots(params),
            apply_edit=look_up(able, "workspace", "applyEdit") is True,
            change_annotations=isinstance(
                look_up(able, "workspace", "workspaceEdit", "changeAnnotationSupport"), Mapping
            ),
            create_files=_lists(look_up(able, "workspace", "workspaceEdit", "resourceOperations"), "create"),
            configuration=look_up(able, "workspace", "configuration") is True,
            register_configuration=look_up(able, "workspace", "didChangeConfiguration", "dynamicRegistration") is True,
            progress=look_up(able, "window", "workDoneProgress") is True,
            show_document=look_up(able, "window", "showDocument", "support") is True,
            text_document_content=isinstance(look_up(able, "workspace", "textDocumentContent"), Mapping),
            action_literals=isinstance(
                look_up(able, "textDocument", "codeAction", "codeActionLiteralSupport"), Mapping
            ),
            disabled_actions=look_up(able, "textDocument", "codeAction", "disabledSupport") is True,
            action_tags=_lists(look_up(able, "textDocument", "codeAction", "tagSupport", "valueSet"), 1),
            markdown_hover=_lists(look_up(able, "textDocument", "hover", "contentFormat"), "markdown"),
            extension=extension,
            stream=extension and look_up(ours, "stream") is True,
            preview=extension and look_up(ours, "preview") is True,
            status=extension and look_up(ours, "status") is True,
        )


def choose_encoding(offered: object) -> Encoding:
    """Return the first encoding that the editor offers and we know; LSP's own default is UTF-16."""
    for name in offered if isinstance(offered, list) else []:
        if name == "utf-8":
            return "utf-8"
        if name == "utf-16":
            return "utf-16"
        if name == "utf-32":
            return "utf-32"
    return "utf-16"


def _lists(values: object, wanted: object) -> bool:
    return isinstance(values, list) and wanted in values


def _roots(params: Mapping[str, Any]) -> tuple[str, ...]:
    folders = params.get("workspaceFolders")
    if isinstance(folders, list):
        uris = [look_up(folder, "uri") for folder in folders]
        if found := tuple(uri for uri in uris if isinstance(uri, str)):
            return found
    root = params.get("rootUri")
    return (root,) if isinstance(root, str) and root else ()
