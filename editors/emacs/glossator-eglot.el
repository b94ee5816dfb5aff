;;; glossator-eglot.el --- Glossator in eglot -*- lexical-binding: t; -*-

;; eglot runs one server for each buffer.  Either Glossator alone, or, to keep the server that you have, both behind a
;; multiplexer such as rass: (list "rass" "--" "ruff" "server" "--" "glossator").

;;; Code:

(require 'eglot)

(add-to-list 'eglot-server-programs '((python-mode python-ts-mode) . ("glossator")))

;; An edit is checked before it is sent, and it is one undo step: without this each one would ask.
(setq-default eglot-confirm-server-edits nil)

(defun glossator--arguments (&optional instruction)
  "Return what the commands are about: the region or the place of the cursor, its problems, and INSTRUCTION."
  (let ((beginning (if (use-region-p) (region-beginning) (point)))
        (end (if (use-region-p) (region-end) (point))))
    (vector
     (append
      (list :uri (plist-get (eglot--TextDocumentIdentifier) :uri)
            :range (list :start (eglot--pos-to-lsp-position beginning)
                         :end (eglot--pos-to-lsp-position end))
            :diagnostics (glossator--diagnostics beginning end))
      (and instruction (list :instruction instruction))))))

(defun glossator--diagnostics (beginning end)
  "Return flymake's diagnostics between BEGINNING and END, whichever program found them, as LSP has them."
  (vconcat
   (mapcar
    (lambda (diagnostic)
      (list :range (list :start (eglot--pos-to-lsp-position (flymake-diagnostic-beg diagnostic))
                         :end (eglot--pos-to-lsp-position (flymake-diagnostic-end diagnostic)))
            :source (format "%s" (flymake-diagnostic-backend diagnostic))
            :message (flymake-diagnostic-text diagnostic)))
    (flymake-diagnostics beginning (max end (min (1+ beginning) (point-max)))))))

(defun glossator--run (command &optional instruction)
  "Let the server run COMMAND, perhaps with an INSTRUCTION; the server answers at once and works in the background."
  (let ((server (eglot--current-server-or-lose)))
    (eglot--signal-textDocument/didChange)
    (jsonrpc-async-request
     server :workspace/executeCommand
     (list :command command :arguments (glossator--arguments instruction))
     :success-fn #'ignore
     :error-fn (lambda (problem) (message "glossator: %s" (plist-get problem :message))))))

(defun glossator-explain ()
  "Explain the problem under the cursor, or the region."
  (interactive)
  (glossator--run "glossator.explain"))

(defun glossator-fix ()
  "Fix the problem under the cursor, or those in the region."
  (interactive)
  (glossator--run "glossator.fix"))

(defun glossator-refactor (instruction)
  "Change the code of the region or under the cursor as INSTRUCTION says."
  (interactive "sRefactor how? ")
  (glossator--run "glossator.refactor" instruction))

(defun glossator-ask (question)
  "Ask QUESTION about the region or the code under the cursor."
  (interactive "sAsk: ")
  (glossator--run "glossator.ask" question))

(defun glossator-cancel ()
  "End what is at work."
  (interactive)
  (eglot-execute-command (eglot--current-server-or-lose) "glossator.cancel" []))

(defun glossator-why ()
  "Tell where this file would go, and by which rule; nothing is sent."
  (interactive)
  (glossator--run "glossator.why"))

(provide 'glossator-eglot)
;;; glossator-eglot.el ends here
